//! Regions against enumeration: on a small universe every call is judged by both policies, and the comparison has to say the
//! same. The universe has a call on each side of every rule that the random policies can have.

use super::example::{Example, Fate};
use crate::{Containment, Policy, Proof};

/// SplitMix64: the same policies every time.
struct Dice {
    state: u64,
    /// Whether permits tell reads from writes. What two of them say of a form or of JSON is compared by their rules alone.
    classes: bool,
}

impl Dice {
    fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound as u64).unwrap()
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }
}

const CALLS: [&str; 13] = [
    "GET /",
    "GET /a",
    "GET /{x}",
    "GET /a/",
    "GET /{x...}",
    "GET /a/{x}",
    "GET /{x}/b",
    "POST /a",
    "POST /{x}",
    "POST /{x...}",
    "GET /b",
    "POST /graphql",
    "POST /a/{x}",
];

const QUERIES: [&str; 9] = [
    "",
    "",
    "query = { allow = [\"q\"] }",
    "query = { repeat = [\"q\"] }",
    "query = { fields = { q = { max = 5 } } }",
    "query = { fields = { q = { min = 3, required = true } } }",
    "query = { fields = { q = { in = [\"x\", 3] } } }",
    "query = { fields = { q = { max = 4 } }, repeat = [\"q\"] }",
    "query = { fields = { q = { type = \"integer\" } } }",
];

const HEADERS: [&str; 8] = [
    "",
    "",
    "",
    "headers = { h-x = { in = [\"1\"] } }",
    "headers = { h-x = { in = [\"1\", \"2\"], required = true } }",
    "headers = { h_x = { max_length = 1 } }",
    "headers = { content-type = { const = \"application/json\", required = true } }",
    "headers = { content-type = { const = \"application/x-www-form-urlencoded\" } }",
];

const BODIES: [&str; 18] = [
    "",
    "body = { type = \"none\" }",
    "body = { type = \"any\", max_bytes = 30 }",
    "body = { type = \"any\", max_bytes = 100 }",
    "body = { type = \"form\" }",
    "body = { type = \"form\", repeat = [\"f\"] }",
    "body = { type = \"form\", fields = { f = { max = 5 } } }",
    "body = { type = \"form\", fields = { f = { min = 3 }, g = {} } }",
    "body = { type = \"form\", fields = { f = { in = [\"x\", 3], required = true }, _method = { in = [\"PUT\"] } } }",
    "body = { type = \"json\" }",
    "body = { type = \"json\", only = true }",
    "body = { type = \"json\", fields = { n = { max = 5 } } }",
    "body = { type = \"json\", only = true, fields = { n = { max = 3, required = true } } }",
    "body = { type = \"json\", fields = { n = { in = [3, \"x\", true] } } }",
    "body = { type = \"json\", fields = { \"/n/m\" = { type = \"integer\" } } }",
    "body = { type = \"json\", only = true, fields = { \"/n/m\" = { type = \"integer\", required = true } } }",
    "body = { type = \"json\", fields = { \"/n/0\" = { type = \"string\" } } }",
    "body = { type = \"json\", fields = { n = { type = \"object\" }, N = { type = \"null\" } } }",
];

/// A random permit of this number.
fn permit(dice: &mut Dice, number: usize) -> String {
    let calls: Vec<&str> = (0..=dice.below(2)).map(|_| dice.pick(&CALLS)).collect();
    let (query, headers, body) = (dice.pick(&QUERIES), dice.pick(&HEADERS), dice.pick(&BODIES));
    let place = dice.pick(&["header t", "header t", "header t", "query k"]);
    let approve = match dice.classes {
        false => dice.pick(&["once", "once", "once", "each-call"]),
        true => dice.pick(&["once", "writes", "once\"\nrefuse = \"writes", "writes\"\nspeaks = \"json-rpc"]),
    };
    let range = dice.pick(&["drop", "drop", "pass"]);
    format!(
        "[[permit]]\nname = \"{number}\"\nto = \"https://a.example\"\nplace = \"{place}\"\ncall = {calls:?}\n{query}\n{headers}\n{body}\napprove = \"{approve}\"\nrange = \"{range}\"\n"
    )
}

fn parsed(permits: &[String]) -> Policy {
    let text = format!("version = 1\n{}", permits.concat());
    Policy::parse("random.toml", &text).unwrap_or_else(|complaints| panic!("{complaints:?}\n{text}"))
}

/// Two random policies: strangers, or one that is the other with one rule of one permit chosen anew.
fn pair(dice: &mut Dice) -> (Policy, Policy) {
    let one: Vec<String> = (0..=dice.below(2)).map(|number| permit(dice, number)).collect();
    let mut other = one.clone();
    match dice.below(4) {
        0 => other = (0..=dice.below(2)).map(|number| permit(dice, number)).collect(),
        1 => other.push(permit(dice, 9)),
        _ => {
            let at = dice.below(other.len());
            let mut lines: Vec<String> = other[at].lines().map(str::to_owned).collect();
            let body = dice.below(2) == 0;
            lines[if body { 7 } else { 5 }] = dice.pick(if body { &BODIES } else { &QUERIES }).to_owned();
            other[at] = lines.join("\n") + "\n";
        }
    }
    let (one, other) = (parsed(&one), parsed(&other));
    if dice.below(2) == 0 { (one, other) } else { (other, one) }
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Every call of the universe.
fn universe() -> Vec<Example> {
    let mut all = Vec::new();
    let paths = [
        "/", "/a", "/b", "/z", "/a/", "/z/", "/a/b", "/a/z", "/z/b", "/a/b/", "/z/z", "/z/z/z", "/graphql",
        "/a/Batch",
    ];
    let queries = [
        "",
        "q=1",
        "q=3",
        "q=4",
        "q=4.5",
        "q=5.5",
        "q=9",
        "q=x",
        "q=z",
        "q=3.0",
        "q=1&q=1",
        "q=4.5&q=z",
        "q=1&q=z",
        "r=1",
    ];
    let headers: [&[(&str, &str)]; 9] = [
        &[],
        &[("h-x", "1")],
        &[("h-x", "2")],
        &[("h_x", "1")],
        &[("h_x", "1"), ("h-x", "1")],
        &[("h-x", "1"), ("h-x", "1")],
        &[("h_x", "12")],
        &[("h-x", "zz")],
        &[("range", "bytes=0-1")],
    ];
    for place in [true, false] {
        all.extend(paths.map(|path| shot("GET", path, "q=3", &[], place, &[], None)));
        all.extend(paths.map(|path| shot("POST", path, "", &[("h-x", "1")], place, &[], None)));
        for header in headers {
            all.extend(queries.map(|query| shot("GET", "/a", query, header, place, &[], None)));
            all.extend(queries.map(|query| shot("POST", "/a", query, header, place, &[], None)));
        }
        for (kind, body) in bodies() {
            all.push(shot("POST", "/a", "q=3", &[], place, body, kind));
            all.push(shot("POST", "/z", "", &[("h-x", "1")], place, body, kind));
        }
    }
    all
}

fn bodies() -> Vec<(Option<&'static str>, &'static [u8])> {
    let forms: [&[u8]; 15] = [
        b"f=1",
        b"f=3",
        b"f=4",
        b"f=9",
        b"f=x",
        b"f=z",
        b"g=1",
        b"f=3&g=1",
        b"f=1&f=1",
        b"f=1&f=z",
        b"o=1",
        b"o=1&o=1",
        b"f=3&_method=PUT",
        b"f=3&_method=GET",
        b"_method=PUT",
    ];
    let texts: [&[u8]; 26] = [
        b"3",
        b"[]",
        b"{}",
        br#"{"n":1}"#,
        br#"{"n":3}"#,
        br#"{"n":4}"#,
        br#"{"n":9}"#,
        br#"{"n":"x"}"#,
        br#"{"n":"z"}"#,
        br#"{"n":true}"#,
        br#"{"n":false}"#,
        br#"{"n":null}"#,
        br#"{"n":[]}"#,
        br#"{"n":{}}"#,
        br#"{"n":{"m":1}}"#,
        br#"{"n":{"m":1.5}}"#,
        br#"{"n":{"m":1,"o":1}}"#,
        br#"{"n":{"M":1}}"#,
        br#"{"o":1}"#,
        br#"{"N":1}"#,
        br#"{"N":null}"#,
        br#"{"n":["x"]}"#,
        br#"{"n":[1]}"#,
        br#"{"n":["x",1]}"#,
        br#"{"n":{"m":1},"o":1}"#,
        br#"{"n":{"0":1}}"#,
    ];
    let long: &[u8] = &[0xff; 101];
    let mut all: Vec<(Option<&str>, &[u8])> = vec![(None, b""), (Some(JSON), b""), (Some(FORM), b"")];
    all.extend([
        (None, &long[..1]),
        (None, &long[..31]),
        (None, long),
        (Some(JSON), b"{"),
        (Some(FORM), &long[..1]),
    ]);
    all.extend(forms.map(|body| (Some(FORM), body)));
    all.extend(texts.map(|body| (Some(JSON), body)));
    all
}

fn shot(
    method: &str,
    path: &str,
    query: &str,
    headers: &[(&str, &str)],
    in_header: bool,
    body: &[u8],
    kind: Option<&str>,
) -> Example {
    let mut headers: Vec<(&str, &str)> = headers.to_vec();
    headers.extend(kind.map(|kind| ("content-type", kind)));
    let mut pairs: Vec<&str> = if query.is_empty() { Vec::new() } else { vec![query] };
    match in_header {
        true => headers.push(("t", "PLACEHOLDER")),
        false => pairs.push("k=PLACEHOLDER"),
    }
    let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    Example::of(method, &format!("https://a.example{path}{query}"), &headers, body)
}

fn difference(inner: &[Fate], outer: &[Fate]) -> Option<usize> {
    (0..inner.len()).find(|index| inner[*index].exceeds(outer[*index]))
}

#[test]
fn ten_thousand_random_pairs_compare_as_enumeration_does() {
    let mut dice = Dice { state: 37, classes: false };
    let universe = universe();
    let judged = |policy: Policy| {
        let fates: Vec<Fate> = universe.iter().map(|call| call.judged_by(&policy)).collect();
        (policy, fates)
    };
    // Each policy is enumerated once, and compared with its own pair and with strangers.
    let mut pool: Vec<(Policy, Vec<Fate>)> = Vec::new();
    while pool.len() < 80 {
        dice.classes = pool.len() >= 56;
        let (one, other) = pair(&mut dice);
        pool.extend([judged(one), judged(other)]);
    }
    let (mut contained, mut wider) = (0, 0);
    for number in 0..10_000 {
        let old = dice.below(pool.len());
        let new = if number % 3 == 0 { old ^ 1 } else { dice.below(pool.len()) };
        let ((old, old_fates), (new, new_fates)) = (&pool[old], &pool[new]);
        let shown = || format!("--- old\n{}\n--- new\n{}", old.to_toml(), new.to_toml());
        let enumerated = difference(new_fates, old_fates);
        let proved = old.contains(new) == Containment::Contained;
        if let Some(index) = enumerated {
            assert!(!proved, "contained, but new allows {:?}\n{}", universe[index], shown());
        }
        match proved {
            true => contained += 1,
            false => wider += 1,
        }
        if !proved && enumerated.is_none() && !(old.to_toml() + &new.to_toml()).contains("writes") {
            let diff = Policy::diff(old, new);
            assert!(diff.allowed.iter().any(|change| change.proof == Proof::Shown), "{diff:#?}\n{}", shown());
        }
    }
    assert!(contained > 500 && wider > 500, "{contained} contained, {wider} wider");
}

#[test]
fn each_change_between_random_policies_is_shown_by_a_call() {
    let mut dice = Dice { state: 73, classes: false };
    for _ in 0..300 {
        let (old, new) = pair(&mut dice);
        let diff = Policy::diff(&old, &new);
        let sides = [(&diff.allowed, &new, &old), (&diff.refused, &old, &new)];
        for (changes, by, not_by) in sides {
            for change in changes {
                let shown = || format!("{change:#?}\n--- old\n{}\n--- new\n{}", old.to_toml(), new.to_toml());
                assert_eq!(change.proof, Proof::Shown, "{}", shown());
                let example = change.example.as_ref().unwrap();
                assert!(example.judged_by(by).exceeds(example.judged_by(not_by)), "{}", shown());
            }
            assert_eq!(changes.is_empty(), not_by.contains(by) == Containment::Contained);
        }
        assert!(diff.exact);
    }
}
