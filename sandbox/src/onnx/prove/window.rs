//! Convolutions and pools: each image by itself, if the first axis is the rows'.

use super::{
    call::{Call, Done},
    linear::zero_point,
    tensor::{Dim, Elem, Flow, Tensor, Work, count, show},
};

/// Movement of a window over the spatial axes.
struct Window {
    kernel: Vec<u64>,
    strides: Vec<u64>,
    dilations: Vec<u64>,
    /// Padding before all axes, then after all.
    pads: Vec<u64>,
    same: bool,
    ceil: bool,
}

/// Maximum stride, dilation, pad or kernel size.
const LARGEST: i64 = 1 << 20;

impl Window {
    fn new(call: &Call<'_>, kernel: Vec<u64>) -> Result<Self, String> {
        let space = kernel.len();
        let list = |name: &str, default: u64, least: i64, length: usize| -> Result<Vec<u64>, String> {
            let Some(list) = call.ints(name)? else { return Ok(vec![default; length]) };
            if list.len() != length || list.iter().any(|n| !(least..=LARGEST).contains(n)) {
                return Err(format!("attribute {name} must be {length} numbers from {least} on"));
            }
            Ok(list.iter().map(|n| *n as u64).collect())
        };
        let auto = call.text("auto_pad")?.unwrap_or("NOTSET");
        let pads = list("pads", 0, 0, 2 * space)?;
        Ok(Self {
            strides: list("strides", 1, 1, space)?,
            dilations: list("dilations", 1, 1, space)?,
            same: match auto {
                "NOTSET" | "VALID" => false,
                "SAME_UPPER" | "SAME_LOWER" => true,
                _ => return Err("attribute auto_pad is not known".into()),
            },
            pads: if auto == "VALID" { vec![0; 2 * space] } else { pads },
            ceil: match call.int_or("ceil_mode", 0)? {
                0 => false,
                1 => true,
                _ => return Err("attribute ceil_mode must be 0 or 1".into()),
            },
            kernel,
        })
    }

    /// Returns the number of positions along an axis of `length`.
    fn places(&self, axis: usize, length: u64) -> Result<u64, String> {
        let stride = self.strides[axis];
        if self.same {
            return Ok(length.div_ceil(stride));
        }
        let reach = (self.kernel[axis] - 1).checked_mul(self.dilations[axis]).and_then(|n| n.checked_add(1));
        let padded = length.checked_add(self.pads[axis]).and_then(|n| n.checked_add(self.pads[axis + self.kernel.len()]));
        let free = reach.zip(padded).and_then(|(reach, padded)| padded.checked_sub(reach));
        let free = free.ok_or("its window is larger than what it goes over")?;
        if !self.ceil {
            return Ok(free / stride + 1);
        }
        let places = free.div_ceil(stride) + 1;
        // The last window must begin within the values or the padding before them.
        Ok(if (places - 1) * stride >= length + self.pads[axis] { places - 1 } else { places })
    }

    /// Returns the sizes of the output for `x` along the spatial axes.
    fn over(&self, x: &Tensor) -> Result<Vec<Dim>, String> {
        if x.rank() != self.kernel.len() + 2 {
            return Err(format!("a window of {} axes does not fit {}", self.kernel.len(), show(&x.dims)));
        }
        (0..self.kernel.len()).map(|axis| Ok(Dim::fixed(self.places(axis, x.fixed(axis + 2)?)?))).collect()
    }

    fn size(&self) -> Result<Dim, String> {
        count(&self.kernel.iter().map(|n| Dim::fixed(*n)).collect::<Vec<_>>())
    }
}

/// Returns the flow through an operator on each index of the first axis by itself; rows along any other axis are mixed.
pub(super) fn by_first(call: &Call<'_>, x: &Tensor) -> Flow {
    match x.flow {
        Flow::Rows(0) => Flow::Rows(0),
        Flow::Rows(_) => call.mixes(),
        other => other,
    }
}

/// Follows Conv.
pub(super) fn conv(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    call.public(2)?;
    convolve(call, x, 1, x.elem)
}

/// Follows ConvInteger.
pub(super) fn conv_integer(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    zero_point(call, 2, true)?;
    zero_point(call, 3, false)?;
    convolve(call, call.data(0)?, 1, Elem::I32)
}

/// Follows QLinearConv.
pub(super) fn qlinear_conv(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    for (i, scalar) in [(1, true), (2, true), (4, false), (5, false), (6, true), (7, true), (8, false)] {
        zero_point(call, i, scalar)?;
    }
    let to = call.constant(7)?.elem;
    convolve(call, call.data(0)?, 3, to)
}

fn convolve(call: &Call<'_>, x: &Tensor, weights: usize, to: Elem) -> Result<Done, String> {
    let w = call.constant(weights)?;
    if x.rank() < 3 || w.rank() != x.rank() {
        return Err(format!("kernels {} do not fit {}", show(&w.dims), show(&x.dims)));
    }
    let kernel = (2..w.rank()).map(|axis| w.fixed(axis)).collect::<Result<Vec<_>, _>>()?;
    if call.ints("kernel_shape")?.is_some_and(|said| !said.iter().map(|n| *n as u64).eq(kernel.iter().copied())) {
        return Err("attribute kernel_shape is not the kernels' shape".into());
    }
    let group = u64::try_from(call.int_or("group", 1)?).ok().filter(|g| *g > 0).ok_or("attribute group must be positive")?;
    let (maps, channels) = (w.fixed(0)?, w.fixed(1)?);
    if channels.checked_mul(group) != Some(x.fixed(1)?) || !maps.is_multiple_of(group) {
        return Err(format!("kernels {} in {group} groups do not fit {}", show(&w.dims), show(&x.dims)));
    }
    let window = Window::new(call, kernel)?;
    let mut dims = vec![x.dims[0], Dim::fixed(maps)];
    dims.extend(window.over(x)?);
    let taps = window.size()?.times(Dim::fixed(channels))?;
    let work = Work::of(count(&dims)?.times(taps)?, 2);
    // Kernels that first unfold the windows do so for one image at a time.
    let scratch = Work::of(count(&dims[2..])?.times(taps)?.times(Dim::fixed(group))?, to.bytes().max(4));
    Ok(Done { outputs: vec![Tensor::new(to, dims, by_first(call, x))], work, scratch, clip: None })
}

/// Follows MaxPool and AveragePool.
pub(super) fn pool(call: &Call<'_>) -> Result<Done, String> {
    // MaxPool's second output gives positions among the values of all rows.
    call.outputs(1)?;
    let x = call.data(0)?;
    let kernel = call.ints("kernel_shape")?.ok_or("attribute kernel_shape is missing")?;
    if kernel.is_empty() || kernel.iter().any(|n| !(1..=LARGEST).contains(n)) {
        return Err("attribute kernel_shape must be positive".into());
    }
    let window = Window::new(call, kernel.iter().map(|n| *n as u64).collect())?;
    // Here the runtime pads as if there were no dilation, so the output has another shape.
    if window.same && window.dilations.iter().any(|dilation| *dilation != 1) {
        return Err("pads by auto_pad, and has dilations: give the pads".into());
    }
    let mut dims = x.dims.get(..2).ok_or("takes images")?.to_vec();
    dims.extend(window.over(x)?);
    let work = Work::of(count(&dims)?.times(window.size()?)?, 1);
    Ok(Done { outputs: vec![Tensor::new(x.elem, dims, by_first(call, x))], work, ..Done::default() })
}

/// Follows GlobalAveragePool and GlobalMaxPool.
pub(super) fn global_pool(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    if x.rank() < 3 {
        return Err(format!("takes images, not {}", show(&x.dims)));
    }
    let mut dims = x.dims[..2].to_vec();
    dims.resize(x.rank(), Dim::ONE);
    for axis in 2..x.rank() {
        x.fixed(axis)?;
    }
    let work = Work::of(count(&x.dims)?, 1);
    Ok(Done { outputs: vec![Tensor::new(x.elem, dims, by_first(call, x))], work, ..Done::default() })
}
