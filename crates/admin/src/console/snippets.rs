//! What a workload's programs need to call through the broker: texts to copy, with the placeholder and the key left to be filled in, and a
//! destination that stands for the service's own.

use std::net::SocketAddr;

/// Where the broker is, as workloads see it.
pub(super) struct Place<'p> {
    pub(super) listen: SocketAddr,
    pub(super) tls: bool,
    /// The file with the authority's certificate.
    pub(super) ca: &'p str,
    pub(super) workload: &'p str,
    /// The workload's key, where it has just been made.
    pub(super) key: Option<&'p str>,
}

/// One text to copy.
pub(super) struct Snippet {
    /// A word for its address on the page.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) text: String,
}

/// Stand for what is shown once and not kept.
pub(super) const KEY: &str = "WORKLOAD_KEY";
pub(super) const PLACEHOLDER: &str = "PLACEHOLDER";

/// The texts. What stands in braces is filled in; the placeholder is not.
const TEXTS: [(&str, &str, &str); 12] = [
    ("environment", "Environment", include_str!("snippets/environment.txt")),
    ("curl", "curl", include_str!("snippets/curl.txt")),
    ("base-url", "curl, without a proxy", include_str!("snippets/base-url.txt")),
    ("python", "Python (requests)", include_str!("snippets/python.txt")),
    ("node", "Node", include_str!("snippets/node.txt")),
    ("git", "git over HTTPS", include_str!("snippets/git.txt")),
    ("boto3", "boto3 and the AWS command line", include_str!("snippets/boto3.txt")),
    ("docker", "Docker", include_str!("snippets/docker.txt")),
    ("kubernetes", "Kubernetes", include_str!("snippets/kubernetes.txt")),
    ("claude-code", "Claude Code", include_str!("snippets/claude-code.txt")),
    ("codex", "Codex and other agents with OPENAI_API_KEY", include_str!("snippets/codex.txt")),
    ("run", "Any program on this machine, in a sandbox", include_str!("snippets/run.txt")),
];

impl Place<'_> {
    /// All of them.
    pub(super) fn snippets(&self) -> Vec<Snippet> {
        let scheme = if self.tls { "https" } else { "http" };
        let listen = self.listen.to_string();
        let (key, workload) = (self.key.unwrap_or(KEY), self.workload);
        let proxy = format!("{scheme}://{workload}:{key}@{}", self.listen);
        let base = format!("{scheme}://{}/to/api.example.com", self.listen);
        let fill = |text: &str| {
            let words = [
                ("{proxy}", &*proxy),
                ("{base}", &*base),
                ("{listen}", &*listen),
                ("{key}", key),
                ("{ca}", self.ca),
                ("{workload}", workload),
            ];
            words.iter().fold(text.trim_end().to_owned(), |text, (word, value)| text.replace(word, value))
        };
        TEXTS.map(|(id, title, text)| Snippet { id, title, text: fill(text) }).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_names_the_broker_and_leaves_secrets_to_be_filled_in() {
        let listen = "127.0.0.1:8480".parse().unwrap();
        let place = Place { listen, tls: false, ca: "/data/ca.pem", workload: "robot", key: None };
        for one in place.snippets() {
            let names = one.text.contains("127.0.0.1:8480") || one.id == "run";
            assert!(names && !one.text.contains("cwk_"), "{}: {}", one.id, one.text);
            assert!(!one.text.contains("{proxy}") && !one.text.contains("{ca}"), "{}: {}", one.id, one.text);
        }
        let fresh = Place { key: Some("cwk_fresh"), tls: true, ..place };
        for one in fresh.snippets().iter().filter(|one| one.id != "run") {
            assert!(one.text.contains("cwk_fresh") && !one.text.contains(KEY), "{}: {}", one.id, one.text);
            assert!(one.text.contains("https://"), "{}", one.text);
        }
    }
}
