//! Where a job's model runs, and what the receipt says of it.

use tidegate_gpu_runner::{device, library};
use tidegate_protocol::{
    Code, Refusal,
    device::{DeviceRule, Place},
    job::Program,
    policy::Policy,
    receipt::InferenceNote,
};

use crate::worker::{Checked, Work, Workers, usable_gpus};

/// Where `program`'s model runs on this machine, if it has one.
///
/// # Errors
/// A [`Refusal`] where there is nothing to run it, or not where the job wants it.
pub(super) fn place(program: &Program, policy: &Policy) -> Result<Place, Refusal> {
    if !program.infers() {
        return Ok(Place::Cpu);
    }
    let place = policy.models.device.place(program.on(), usable_gpus().len() as u32)?;
    if place == Place::Cpu && library::find().is_none() {
        let refusal = Refusal::new(Code::Unavailable, "the owner's node has no ONNX Runtime");
        return Err(refusal.at("program").fix(library::HOW_TO));
    }
    Ok(place)
}

/// Checks a job. Where neither job nor owner say where its model runs, one that a GPU has not all kernels for runs on the processor: the receipt says so.
///
/// # Errors
/// As [`Workers::check`].
pub(super) async fn check(workers: &Workers, mut work: Work) -> Result<(Work, Checked), Refusal> {
    let first = workers.check(&work).await;
    let either = work.policy.models.device == DeviceRule::Auto && work.job.program.on().is_none();
    match first {
        Err(refusal) if either && work.place != Place::Cpu && refusal.code == Code::Program && library::find().is_some() => {
            tracing::info!("on the processor: {refusal}");
            work.place = Place::Cpu;
            let checked = workers.check(&work).await?;
            Ok((work, checked))
        }
        checked => Ok((work, checked?)),
    }
}

/// What the receipt says of what runs a model.
pub(super) fn note(place: Place, runtime: String) -> InferenceNote {
    match place {
        Place::Cpu => InferenceNote { provider: "cpu".into(), device: device::processor(), runtime, tf32: false },
        Place::Cuda { index, tf32 } => {
            let gpu = device::gpus().into_iter().find(|gpu| gpu.index == index);
            let device = gpu.map_or_else(|| format!("GPU {index}"), |gpu| gpu.name);
            InferenceNote { provider: "cuda".into(), device, runtime, tf32 }
        }
    }
}
