//! Targets of requests for `/launch/item`, spelled by an attacker who wants to get past a room there; or not quite.

/// Pieces that read as one slash to some server.
const SLASHES: [&str; 28] = [
    "/",
    "/",
    "/",
    "/",
    "/",
    "/",
    "/",
    "/",
    "//",
    "///",
    "\\",
    "/\\",
    "%2f",
    "%5c",
    "/./",
    "/x/../",
    "/x/..;/",
    "/x/%2e%2e/",
    "/%2e/",
    "/;/",
    ";a=1/",
    "%252f",
    "/x/..%2f",
    "/x\\..\\",
    "%u002f",
    "%u005c",
    "/x/%u002e%u002e/",
    "/x/..%u002F",
];
/// Pieces that may stand before the first segment.
const STARTS: [&str; 30] = [
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "/x/..",
    "//x",
    "//x:80",
    "//u:p@x",
    "///x",
    "////x",
    "/\\x",
    "\\\\x",
    "//x\\",
    "/\\/x",
    "//x/y/..",
    "/.//x",
    "/%2fx",
    "//%78",
    "//[::1]",
    "//x@y",
    "//x;y",
    "//x%2fy",
    "//x?",
    "/http:",
    "/http://x",
    "//..",
];
/// Pieces that may follow the last.
const ENDS: [&str; 24] = [
    "", "", "", "", "", "/", "//", "/.", "/..", "/x/..", "/../x", ";v=1", "%00", "%00.png", "?a=b", "?/../..", "#x",
    "%3fx", "%23x", ".", "%20", "%09", "@x", "/x;/..;/",
];
/// Surprises in the middle of a name.
const ODD: [&str; 24] = [
    "%09",
    "%0a",
    "%0d",
    "%00",
    "\t",
    "@",
    ":",
    ";",
    "?",
    "#",
    "%c0%af",
    "%c1%9c",
    "%ff",
    "가",
    "%ea%b0%80",
    "..",
    "%2e",
    "*",
    "|",
    "%",
    "%u002f",
    "%u002e",
    "%u005c",
    "%u006c",
];
/// Pieces for targets without a plan.
const PIECES: [&str; 31] = [
    "/", "/", "/", "//", ".", "..", "/../", "/./", "\\", ";", "?", "#", "@", ":", "x", "launch", "launch", "LAUNCH",
    "item", "%2f", "%2e", "%5c", "%25", "%6c", "%252e", "%00", "%09", "http:", "%u002f", "%u002e", "%u005c",
];

/// Numbers that are the same for the same seed (`SplitMix64`).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }

    /// A name, letter by letter as it is, in capitals, or encoded once or twice.
    fn name(&mut self, name: &str) -> String {
        let usual = self.roll(3) == 0;
        let mut letter = |c: char| match self.roll(if usual { 1 } else { 16 }) {
            1 => c.to_ascii_uppercase().to_string(),
            2 => format!("%{:02x}", c as u32),
            3 => format!("%{:02X}", c.to_ascii_uppercase() as u32),
            4 => format!("%25{:02x}", c as u32),
            _ => c.to_string(),
        };
        name.chars().map(&mut letter).collect()
    }

    /// The next target; it begins with a slash or a backslash.
    pub(crate) fn target(&mut self) -> String {
        let mut target = if self.roll(4) == 0 {
            let length = 1 + self.roll(12);
            format!("/{}", (0..length).map(|_| self.pick(&PIECES)).collect::<String>())
        } else {
            let (start, first, second) = (self.pick(&STARTS), self.pick(&SLASHES), self.pick(&SLASHES));
            let (launch, item, end) = (self.name("launch"), self.name("item"), self.pick(&ENDS));
            let item = if self.roll(3) == 0 { String::new() } else { second.to_owned() + &item };
            format!("{start}{first}{launch}{item}{end}")
        };
        if self.roll(6) == 0 {
            let at = self.roll(target.len() + 1);
            if target.is_char_boundary(at) {
                target.insert_str(at, self.pick(&ODD));
            }
        }
        if target.starts_with(['/', '\\']) { target } else { format!("/{target}") }
    }
}

/// So many spellings as the variable `WEIR_SPELLINGS` says, or as few as a quick test has time for.
pub(crate) fn how_many(quick: usize) -> usize {
    std::env::var("WEIR_SPELLINGS").ok().and_then(|text| text.parse().ok()).unwrap_or(quick)
}

/// The first of all targets, by `WEIR_SEED` if another course is wanted.
pub(crate) fn seed() -> u64 {
    std::env::var("WEIR_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}
