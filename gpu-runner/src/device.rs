//! Devices of this machine for running models.

use std::path::{Path, PathBuf};

/// Folder in which NVIDIA's driver lists its devices; `NODES` is where they are opened.
const DRIVER: &str = "/proc/driver/nvidia/gpus";
const NODES: &str = "/dev";

/// A GPU for running models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Index among the GPUs of this process, in the order of bus addresses.
    pub index: u32,
    /// Name given by the maker.
    pub name: String,
    /// Identifier for restricting the driver's libraries to this GPU.
    pub uuid: Option<String>,
}

/// Returns the usable GPUs.
pub fn gpus() -> Vec<Gpu> {
    gpus_of(Path::new(DRIVER), Path::new(NODES))
}

fn gpus_of(driver: &Path, nodes: &Path) -> Vec<Gpu> {
    // A folder for each, named by its bus address.
    let mut folders: Vec<PathBuf> = std::fs::read_dir(driver).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let mut gpus = vec![];
    for folder in folders {
        let Ok(text) = std::fs::read_to_string(folder.join("information")) else { continue };
        let line = |key: &str| {
            let value = text.lines().find_map(|line| line.split_once(':').filter(|(name, _)| name.trim() == key));
            value.map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        // A container is given only some of the machine's devices, but sees all of them here.
        let Some(minor) = line("Device Minor") else { continue };
        if nodes.join(format!("nvidia{minor}")).exists() {
            let uuid = line("GPU UUID").filter(|uuid| uuid.starts_with("GPU-") && !uuid.contains('?'));
            gpus.push(Gpu { index: gpus.len() as u32, name: line("Model").unwrap_or_else(|| "NVIDIA GPU".into()), uuid });
        }
    }
    if gpus.is_empty() { unnamed(nodes) } else { gpus }
}

/// Lists the existing devices if the driver has no information on them, as in some sandboxes.
fn unnamed(nodes: &Path) -> Vec<Gpu> {
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_prefix("nvidia")?.parse::<u32>().ok();
    let mut minors: Vec<u32> = std::fs::read_dir(nodes).into_iter().flatten().flatten().filter_map(number).collect();
    minors.sort_unstable();
    (0..minors.len() as u32).map(|index| Gpu { index, name: "NVIDIA GPU".into(), uuid: None }).collect()
}

/// Returns the maker's name of the processor.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    line.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_those_that_can_be_opened_in_the_order_of_their_addresses() {
        let folder = std::env::temp_dir().join(format!("tidegate-gpus-{}", std::process::id()));
        let (driver, nodes) = (folder.join("gpus"), folder.join("dev"));
        std::fs::create_dir_all(&nodes).unwrap();
        for (address, minor, text) in [
            ("0000:41:00.0", 1, "Model: \t\t NVIDIA H100\nIRQ: 5\nGPU UUID: \t GPU-b\nDevice Minor: \t 1\n"),
            ("0000:0f:00.0", 0, "Model: \t\t NVIDIA A10\nGPU UUID: \t GPU-????????\nDevice Minor: \t 0\n"),
            ("0000:81:00.0", 2, "Model: NVIDIA T4\nDevice Minor: 2\n"),
            ("0000:82:00.0", 3, "nothing that is known"),
        ] {
            std::fs::create_dir_all(driver.join(address)).unwrap();
            std::fs::write(driver.join(address).join("information"), text).unwrap();
            if minor != 2 {
                std::fs::write(nodes.join(format!("nvidia{minor}")), "").unwrap();
            }
        }
        let seen = gpus_of(&driver, &nodes);
        std::fs::write(nodes.join("nvidiactl"), "").unwrap();
        let unnamed: Vec<u32> = gpus_of(Path::new("/nowhere"), &nodes).iter().map(|gpu| gpu.index).collect();
        assert_eq!(unnamed, [0, 1, 2]);
        std::fs::remove_dir_all(&folder).unwrap();
        let gpu = |index, name: &str, uuid: Option<&str>| Gpu { index, name: name.into(), uuid: uuid.map(str::to_owned) };
        assert_eq!(seen, [gpu(0, "NVIDIA A10", None), gpu(1, "NVIDIA H100", Some("GPU-b"))]);
        assert!(gpus_of(Path::new("/nowhere"), Path::new("/nowhere")).is_empty());
        assert!(!processor().is_empty());
    }
}
