//! Device of a job's model, and its note in the receipt.

use tidegate_gpu_runner::{device, library};
use tidegate_protocol::{
    Code, Refusal,
    device::{DeviceRule, Place},
    job::Program,
    policy::Policy,
    receipt::InferenceNote,
};

use crate::worker::{Checked, Work, Workers, usable_gpus};

/// Returns where `program`'s model runs on this machine, [`Place::Cpu`] if the program has no model.
///
/// # Errors
/// Returns a [`Refusal`] if nothing here can run the model, or not where the job wants it.
pub(in crate::owner) fn place(program: &Program, policy: &Policy) -> Result<Place, Refusal> {
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

/// Checks a job, and falls back to the processor if the GPU lacks kernels for its model.
///
/// The fallback applies only if neither job nor owner says where the model runs; the receipt states where it ran.
///
/// # Errors
/// Same as [`Workers::check`].
pub(in crate::owner) async fn check(workers: &Workers, mut work: Work) -> Result<(Work, Checked), Refusal> {
    let first = workers.check(&work).await;
    let either = work.policy.models.device == DeviceRule::Auto && work.job.program.on().is_none();
    match first {
        Err(refusal) if either && work.place != Place::Cpu && refusal.code == Code::Program && library::find().is_some() => {
            tracing::info!("running on the CPU: {refusal}");
            work.place = Place::Cpu;
            let checked = workers.check(&work).await?;
            Ok((work, checked))
        }
        checked => Ok((work, checked?)),
    }
}

/// Builds the receipt's note on the runtime and device of a model.
pub(in crate::owner) fn note(place: Place, runtime: String) -> InferenceNote {
    match place {
        Place::Cpu => InferenceNote { provider: "cpu".into(), device: device::processor(), runtime, tf32: false },
        Place::Cuda { index, tf32 } => {
            let gpu = device::gpus().into_iter().find(|gpu| gpu.index == index);
            let device = gpu.map_or_else(|| format!("GPU {index}"), |gpu| gpu.name);
            InferenceNote { provider: "cuda".into(), device, runtime, tf32 }
        }
    }
}
