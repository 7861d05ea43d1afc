//! The evidence of every case: whatever was done to the trail, both checkers come to the same verdicts.

use std::path::Path;
use std::process::Command;

use trailq::evidence::{self, Options};

use super::cases::{Case, cases};
use crate::python::system_python;
use crate::support::{self, Run};

/// The AWS CLI does not take a backfill digest without its time, and so `validate-logs` does not. The signature holds
/// all the same, which is what both checkers say.
const HOLDS_ALL_THE_SAME: &str = "backfill-nots";

#[test]
fn the_evidence_of_every_case_is_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut written, mut wrong) = (0, Vec::new());
    for case in cases() {
        let bundle = folder.path().join(format!("{}.tar.zst", case.name));
        let mut command = case.command(support::command(&["validate-logs"]), false);
        command.arg("--evidence").arg(&bundle);
        let run: Run = command.output().unwrap().into();
        // There is none of a check that could not be made.
        if !bundle.exists() {
            assert!(
                run.code == Some(255) || run.code == Some(2),
                "{}: {}{}",
                case.name,
                run.stdout,
                run.stderr
            );
            continue;
        }
        written += 1;
        if case.name == HOLDS_ALL_THE_SAME {
            continue;
        }
        let report = evidence::check(&bundle, &Options::default()).unwrap();
        if !report.is_confirmed() {
            wrong.push(format!("{}: {:?}", case.name, report.problems));
        }
        let script = verify_py(case, &bundle, folder.path());
        if script.code != Some(0) {
            wrong.push(format!("{}, verify.py: {}{}", case.name, script.stdout, script.stderr));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(written > 90, "only {written} bundles");
}

/// Runs the bundle's own script.
fn verify_py(case: &Case, bundle: &Path, folder: &Path) -> Run {
    let to = folder.join(&case.name);
    let inflated = zstd::decode_all(std::fs::File::open(bundle).unwrap()).unwrap();
    tar::Archive::new(&inflated[..]).unpack(&to).unwrap();
    let script = to.join("trailq-evidence/verify.py");
    Command::new(system_python()).arg("-I").arg(script).output().unwrap().into()
}
