//! LSTM and GRU: time comes first, rows second. A row's time steps follow one another; rows do not meet.

use super::{
    call::{Call, Done},
    tensor::{Dim, Flow, Tensor, Work, count, show},
};

pub(super) fn lstm(call: &Call<'_>) -> Result<Done, String> {
    recurrent(call, 4, 3)
}

pub(super) fn gru(call: &Call<'_>) -> Result<Done, String> {
    recurrent(call, 3, 2)
}

fn recurrent(call: &Call<'_>, gates: u64, most: usize) -> Result<Done, String> {
    let asked = call.outputs(most)?;
    let x = call.data(0)?;
    if x.rank() != 3 || call.int_or("layout", 0)? != 0 {
        return Err(format!("takes [time, rows, features], not {}", show(&x.dims)));
    }
    if call.maybe(4).is_some() || call.maybe(7).is_some() {
        return Err("sequence lengths and peepholes are not taken".into());
    }
    let hidden =
        call.int("hidden_size")?.filter(|n| (1..=1 << 20).contains(n)).ok_or("attribute hidden_size must be positive")?;
    let hidden = hidden as u64;
    let both = match call.text("direction")?.unwrap_or("forward") {
        "forward" | "reverse" => 1,
        "bidirectional" => 2,
        _ => return Err("attribute direction is not known".into()),
    };
    let (time, features) = (x.fixed(0)?, x.fixed(2)?);
    let fixed = |sizes: &[u64]| sizes.iter().map(|n| Dim::fixed(*n)).collect::<Vec<_>>();
    let shapes = [(1, fixed(&[both, gates * hidden, features])), (2, fixed(&[both, gates * hidden, hidden]))];
    for (i, dims) in shapes.into_iter().chain(call.maybe(3).map(|_| (3, fixed(&[both, 2 * gates * hidden])))) {
        if call.constant(i)?.dims != dims {
            return Err(format!("input {i} does not fit {} features and {hidden} hidden", features));
        }
    }
    let mut flow = match x.flow {
        Flow::Rows(1) => Flow::Rows(1),
        Flow::Rows(_) => call.mixes(),
        other => other,
    };
    for i in [5, 6] {
        if call.maybe(i).is_some() {
            let state = call.data(i)?;
            if state.dims != [Dim::fixed(both), x.dims[1], Dim::fixed(hidden)] {
                return Err(format!("input {i} {} does not fit", show(&state.dims)));
            }
            if !matches!(state.flow, Flow::Public | Flow::Rows(1)) {
                flow = call.mixes();
            }
        }
    }
    let last = vec![Dim::fixed(both), x.dims[1], Dim::fixed(hidden)];
    let all = vec![Dim::fixed(time), Dim::fixed(both), x.dims[1], Dim::fixed(hidden)];
    let of_all = if flow == Flow::Rows(1) { Flow::Rows(2) } else { flow };
    let each = 2 * gates * (features + hidden);
    let work = Work::of(count(&all)?, each);
    let mut outputs = vec![Tensor::new(x.elem, all, of_all)];
    outputs.resize(asked, Tensor::new(x.elem, last, flow));
    Ok(Done { outputs, work, ..Done::default() })
}
