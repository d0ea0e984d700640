//! Compiles the CUDA kernels for the feature `cuda`; nothing is done without it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const KERNELS: &str = "src/backend/kernels/cuda";

/// GPUs that get machine code of their own, by compute capability; newer ones
/// compile the PTX of the last when they first load it.
const ARCHITECTURES: &str = "80,89,90";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for name in ["NVCC", "CUDA_HOME", "DRAGOMAN_CUDA_ARCHITECTURES"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let ending = |ending: &str| {
        let mut found: Vec<PathBuf> = fs::read_dir(KERNELS)
            .expect("the kernels are in the source tree")
            .map(|entry| entry.expect("a readable folder").path())
            .filter(|path| path.extension().is_some_and(|e| e == ending))
            .collect();
        found.sort();
        found
    };
    let (sources, headers) = (ending("cu"), ending("cuh"));
    println!("cargo::rerun-if-changed={KERNELS}");
    let stamp = out.join("stamp");
    let how = format!("{:?} {}", nvcc(), architectures());
    let same = fs::read_to_string(&stamp).is_ok_and(|before| before == how);
    if !same {
        // What is there was made in another way, and stays so if this fails.
        let _ = fs::remove_file(&stamp);
    }
    let how_made = Path::new("build.rs").to_owned();
    let mut images = String::from("pub(super) const IMAGES: &[&[u8]] = &[\n");
    let mut children = Vec::new();
    for source in &sources {
        let image = out.join(source.with_extension("fatbin").file_name().expect("a file"));
        images += &format!("    include_bytes!({:?}),\n", image.display().to_string());
        let newest =
            headers.iter().chain([source, &how_made]).filter_map(|file| changed(file)).max();
        if !same || changed(&image) <= newest {
            children.push((source, compile(source, &image)));
        }
    }
    images += "];\n";
    fs::write(out.join("images.rs"), images).expect("OUT_DIR can be written");
    for (source, mut child) in children {
        let status = child.wait().expect("nvcc was started");
        assert!(status.success(), "nvcc could not compile {}", source.display());
        let image = out.join(source.with_extension("fatbin").file_name().expect("a file"));
        fs::rename(image.with_extension("part"), image).expect("OUT_DIR can be written");
    }
    fs::write(stamp, how).expect("OUT_DIR can be written");
}

fn changed(file: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(file).and_then(|m| m.modified()).ok()
}

fn compile(source: &Path, image: &Path) -> std::process::Child {
    let architectures = architectures();
    let mut nvcc = Command::new(nvcc());
    nvcc.args(["-fatbin", "-std=c++17", "-O3", "--expt-relaxed-constexpr"]);
    let names: Vec<&str> = architectures.split(',').map(str::trim).collect();
    for name in &names {
        nvcc.arg("-gencode").arg(format!("arch=compute_{name},code=sm_{name}"));
    }
    if let Some(last) = names.last() {
        nvcc.arg("-gencode").arg(format!("arch=compute_{last},code=compute_{last}"));
    }
    // A compiler that was stopped leaves no image that counts.
    nvcc.arg(source).arg("-o").arg(image.with_extension("part"));
    nvcc.spawn().unwrap_or_else(|e| {
        panic!(
            "the feature cuda needs nvcc ({e}); install the CUDA toolkit and set CUDA_HOME, or NVCC"
        )
    })
}

fn architectures() -> String {
    env::var("DRAGOMAN_CUDA_ARCHITECTURES").unwrap_or_else(|_| ARCHITECTURES.to_owned())
}

fn nvcc() -> PathBuf {
    if let Some(path) = env::var_os("NVCC") {
        return path.into();
    }
    match env::var_os("CUDA_HOME") {
        Some(home) => Path::new(&home).join("bin").join("nvcc"),
        None => "nvcc".into(),
    }
}
