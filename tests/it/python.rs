//! Python with the packages of `tests/requirements.txt`, installed once into the target directory.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::support::{Run, repository};

/// Runs a script of `tests/python`, which must end well.
pub(crate) fn run_script(script: &str, arguments: &[&str]) -> Run {
    Run::from(script_command(script, arguments).output().unwrap()).expect(0)
}

/// A script of `tests/python`, not started yet.
pub(crate) fn script_command(script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(python());
    command.arg(repository().join("tests/python").join(script)).args(arguments);
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    command
}

/// The interpreter of the environment, which is made by the first test that asks.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| environment("tests/requirements.txt"))
}

/// The interpreter to start from: that of `TRAILQ_TEST_PYTHON`, or `python3`.
pub(crate) fn system_python() -> String {
    std::env::var("TRAILQ_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// The interpreter of an environment with what a file of requirements names, made by the first who asks.
pub(crate) fn environment(requirements: &str) -> PathBuf {
    let requirements = repository().join(requirements);
    let system = system_python();
    let version = output(Command::new(&system).arg("--version"));
    let mut hash = DefaultHasher::new();
    (std::fs::read_to_string(&requirements).unwrap(), &system, version).hash(&mut hash);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let venv = target.join(format!("trailq-test-venv-{:016x}", hash.finish()));
    let complete = venv.join("complete");
    // Another run of the tests may be installing right now.
    let lock = std::fs::File::create(venv.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !complete.exists() {
        eprintln!("installing Python packages for the tests into {}", venv.display());
        output(Command::new(&system).args(["-m", "venv", "--clear"]).arg(&venv));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        output(Command::new(venv.join("bin/python")).args(pip).arg(requirements));
        std::fs::write(&complete, "").unwrap();
    }
    venv.join("bin/python")
}

fn output(command: &mut Command) -> String {
    let needs = "the tests need Python 3.11 or newer with venv and pip, and PyPI for their first run; \
                 TRAILQ_TEST_PYTHON names another interpreter than python3";
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}\n{needs}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{stderr}\n{needs}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
