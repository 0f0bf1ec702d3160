//! The description of the API, read by a program that knows `OpenAPI` and not Weir.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{ROOMY, Shop, Weir, config};

#[test]
#[ignore = "needs openapi-spec-validator: make openapi"]
fn the_description_is_openapi_3_1_to_its_own_validator() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = root.join("gateway/tests/world/openapi");
    let made = Command::new(root.join("deploy/venv")).arg(&folder).stderr(Stdio::inherit()).output().unwrap();
    assert!(made.status.success(), "the virtual environment of the validator");
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, ROOMY));
    let file = weir.dir.path().join("openapi.json");
    let url = format!("http://{}/api/openapi.json", weir.admin);
    let fetched = Command::new("curl").args(["-sSf", "-o"]).arg(&file).arg(&url).status().unwrap();
    assert!(fetched.success());
    let check = |file: &Path| {
        let python = String::from_utf8(made.stdout.clone()).unwrap();
        let mut validator = Command::new(python.trim());
        let done = validator.args(["-m", "openapi_spec_validator", "--schema", "3.1"]).arg(file).output().unwrap();
        (done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
    };
    let (fine, said) = check(&file);
    assert!(fine, "{said}");
    // It would say so: a parameter of a path that is not described.
    let text = std::fs::read_to_string(&file).unwrap();
    let wrong = weir.dir.path().join("wrong.json");
    std::fs::write(&wrong, text.replace("\"name\": \"number\"", "\"name\": \"figure\"")).unwrap();
    let (fine, said) = check(&wrong);
    assert!(!fine && said.contains("number"), "{said}");
}
