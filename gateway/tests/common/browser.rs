//! Debian's Chromium, driven over its own protocol.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use serde_json::{Value, json};

use super::Kept;

/// A browser with one window. Ends with its driver.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: tempfile::TempDir,
}

/// A driver of its own, and its port.
fn start_driver() -> Option<(Child, u16)> {
    let mut driver = Command::new("chromedriver")
        .args(["--port=0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("chromedriver is installed (deploy/tools test installs it)");
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        line.strip_prefix("ChromeDriver was started successfully on port ")?.trim_end_matches('.').parse().ok()
    });
    std::thread::spawn(move || lines.for_each(drop));
    if let Some(port) = port {
        return Some((driver, port));
    }
    let _ = driver.wait();
    None
}

impl Browser {
    pub fn open(javascript: bool) -> Self {
        Self::with(javascript, &[])
    }

    /// One with these flags besides.
    pub fn with(javascript: bool, more: &[&str]) -> Self {
        // Another process may take the driver's port a moment later: then it ends.
        let (driver, port) = (0..5).find_map(|_| start_driver()).expect("chromedriver starts");
        let profile = tempfile::tempdir().unwrap();
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--lang=en",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ];
        let mut flags: Vec<String> = flags.map(str::to_owned).to_vec();
        flags.extend(more.iter().map(|&flag| flag.to_owned()));
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let prefs = json!({ "profile.managed_default_content_settings.javascript": if javascript { 1 } else { 2 } });
        let options = json!({ "args": flags, "prefs": prefs });
        let mut browser =
            Self { driver, address: ([127, 0, 0, 1], port).into(), session: String::new(), _profile: profile };
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let session = browser.call("POST", "", &wanted);
        browser.session = format!("/{}", session["sessionId"].as_str().unwrap_or_else(|| panic!("{session}")));
        browser
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut driver = Kept::open(self.address);
        let length = body.len();
        driver.send(format!(
            "{method} /session{}{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}",
            self.session
        ));
        driver.answer().unwrap().json()["value"].clone()
    }

    /// Opens an address, as if it were typed.
    pub fn go(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    /// The result of an asynchronous function with this body, run in the page.
    pub fn run(&self, body: &str) -> Value {
        let script =
            format!("const done = arguments[0]; (async () => {{ {body} }})().then(done, e => done('failed: ' + e));");
        self.call("POST", "/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// Does something in the page, be it to leave it.
    pub fn act(&self, script: &str) {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] }));
    }

    /// The page's address.
    pub fn url(&self) -> String {
        self.call("GET", "/url", &Value::Null).as_str().unwrap_or_default().to_owned()
    }

    pub fn back(&self) {
        self.call("POST", "/back", &json!({}));
    }

    /// Opens a new tab, and gives its name.
    pub fn tab(&self) -> String {
        let tab = self.call("POST", "/window/new", &json!({ "type": "tab" }));
        tab["handle"].as_str().unwrap().to_owned()
    }

    /// The current tab.
    pub fn this_tab(&self) -> String {
        self.call("GET", "/window", &Value::Null).as_str().unwrap().to_owned()
    }

    pub fn look_at(&self, tab: &str) {
        self.call("POST", "/window", &json!({ "handle": tab }));
    }

    /// Clicks on the first element of this selector.
    pub fn click(&self, selector: &str) {
        self.on(selector, "click", &json!({}));
    }

    /// Types into a field, or gives the path of a file to one for files.
    pub fn fill(&self, selector: &str, text: &str) {
        self.on(selector, "value", &json!({ "text": text }));
    }

    fn on(&self, selector: &str, act: &str, how: &Value) {
        let by = json!({ "using": "css selector", "value": selector });
        let found = || {
            self.call("POST", "/element", &by).as_object()?.iter().next().map(|(name, id)| (name.clone(), id.clone()))
        };
        // A page that was left between the two calls has no such element any more: the next page may have it.
        let done = super::until(selector, || {
            let (_, id) = found().filter(|(name, _)| name.starts_with("element-"))?;
            let done = self.call("POST", &format!("/element/{}/{act}", id.as_str()?), how);
            (done["error"] != "stale element reference").then_some(done)
        });
        assert!(done.is_null(), "{act} on {selector}: {done}");
    }

    /// Types on the keyboard, wherever the focus is.
    pub fn press(&self, keys: &str) {
        let strokes =
            keys.chars().flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })));
        let actions =
            json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes.collect::<Vec<_>>() }] });
        let done = self.call("POST", "/actions", &actions);
        assert!(done.is_null(), "{keys:?}: {done}");
    }

    /// The answer to a command of Chromium's own protocol.
    pub fn command(&self, command: &str, params: &Value) -> Value {
        self.call("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": params }))
    }

    /// It looks through a screen of this size, as a phone's if it is narrow.
    pub fn screen(&self, width: u32, height: u32) {
        let phone = width < 500;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": if phone { 2 } else { 1 }, "mobile": phone });
        assert_eq!(self.command("Emulation.setDeviceMetricsOverride", &size), json!({}));
    }

    /// Its reader prefers this, by the name of a media feature.
    pub fn prefers(&self, feature: &str, value: &str) {
        let features = json!({ "features": [{ "name": feature, "value": value }] });
        let set = json!({ "cmd": "Emulation.setEmulatedMedia", "params": features });
        assert_eq!(self.call("POST", "/goog/cdp/execute", &set), json!({}));
    }

    /// A screenshot.
    pub fn picture(&self) -> Vec<u8> {
        let picture = self.call("GET", "/screenshot", &Value::Null);
        base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap()).unwrap()
    }

    pub fn source(&self) -> String {
        self.call("GET", "/source", &Value::Null).as_str().unwrap_or_default().to_owned()
    }

    /// The text of the element with this id, empty if there is none.
    pub fn text(&self, id: &str) -> String {
        let page = self.source();
        let after = page.split_once(&format!("id=\"{id}\"")).and_then(|(_, rest)| rest.split_once('>'));
        after.and_then(|(_, rest)| rest.split_once('<')).map_or(String::new(), |(text, _)| text.trim().to_owned())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.call("DELETE", "", &Value::Null)));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
