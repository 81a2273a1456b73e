//! What a workload's programs need to call through the broker: texts to copy, with the placeholder and the key left to be filled in.

use std::net::SocketAddr;

/// Where the broker is, as workloads see it.
pub(super) struct Place<'p> {
    pub(super) listen: SocketAddr,
    pub(super) tls: bool,
    /// The file with the authority's certificate.
    pub(super) ca: &'p str,
    pub(super) workload: &'p str,
}

/// One text to copy.
pub(super) struct Snippet {
    /// A word for its address on the page.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) text: String,
}

/// Stand for what is shown once and not kept.
const KEY: &str = "WORKLOAD_KEY";
const PLACEHOLDER: &str = "PLACEHOLDER";

impl Place<'_> {
    fn proxy(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{KEY}@{}", self.workload, self.listen)
    }

    /// All of them.
    pub(super) fn snippets(&self) -> Vec<Snippet> {
        let (proxy, ca) = (self.proxy(), self.ca);
        let base =
            format!("{}://{}/to/api.example.com", if self.tls { "https" } else { "http" }, self.listen);
        let snippet = |id, title, text| Snippet { id, title, text };
        vec![
            snippet(
                "environment",
                "Environment",
                format!(
                    "export HTTPS_PROXY={proxy}\nexport HTTP_PROXY={proxy}\nexport SSL_CERT_FILE={ca}\nexport REQUESTS_CA_BUNDLE={ca}\nexport NODE_EXTRA_CA_CERTS={ca}\nexport CURL_CA_BUNDLE={ca}\nexport GIT_SSL_CAINFO={ca}\nexport AWS_CA_BUNDLE={ca}"
                ),
            ),
            snippet(
                "curl",
                "curl",
                format!(
                    "curl --proxy {proxy} --cacert {ca} \\\n     -H 'Authorization: Bearer {PLACEHOLDER}' https://api.example.com/v1/things/1"
                ),
            ),
            snippet(
                "base-url",
                "curl, without a proxy",
                format!(
                    "curl -H 'Cloakroom-Workload: {KEY}' -H 'Authorization: Bearer {PLACEHOLDER}' {base}/v1/things/1"
                ),
            ),
            snippet(
                "python",
                "Python (requests, httpx)",
                format!(
                    "import requests\n\nanswer = requests.get(\n    \"https://api.example.com/v1/things/1\",\n    headers={{\"Authorization\": \"Bearer {PLACEHOLDER}\"}},\n    proxies={{\"https\": \"{proxy}\"}},\n    verify=\"{ca}\",\n)"
                ),
            ),
            snippet(
                "node",
                "Node",
                format!(
                    "// NODE_EXTRA_CA_CERTS={ca} node --use-env-proxy call.mjs   (Node 24 and later; else undici's ProxyAgent)\n// with HTTPS_PROXY={proxy}\nconst answer = await fetch(\"https://api.example.com/v1/things/1\", {{\n  headers: {{ Authorization: \"Bearer {PLACEHOLDER}\" }},\n}});"
                ),
            ),
            snippet(
                "git",
                "git over HTTPS",
                format!(
                    "git config --global http.proxy {proxy}\ngit config --global http.sslCAInfo {ca}\ngit clone https://x-access-token:{PLACEHOLDER}@github.com/OWNER/REPOSITORY.git"
                ),
            ),
            snippet(
                "boto3",
                "boto3 and the AWS command line",
                format!(
                    "export HTTPS_PROXY={proxy}\nexport AWS_CA_BUNDLE={ca}\nexport AWS_ACCESS_KEY_ID={PLACEHOLDER}\nexport AWS_SECRET_ACCESS_KEY=unused-the-broker-signs\npython3 -c 'import boto3; print(boto3.client(\"s3\").list_buckets())'"
                ),
            ),
            snippet(
                "docker",
                "Docker",
                format!(
                    "docker run --rm \\\n  --volume {ca}:/etc/cloakroom/ca.pem:ro \\\n  --env HTTPS_PROXY={proxy} \\\n  --env SSL_CERT_FILE=/etc/cloakroom/ca.pem \\\n  --env NODE_EXTRA_CA_CERTS=/etc/cloakroom/ca.pem \\\n  --env REQUESTS_CA_BUNDLE=/etc/cloakroom/ca.pem \\\n  --env API_KEY={PLACEHOLDER} IMAGE"
                ),
            ),
            snippet("kubernetes", "Kubernetes", kubernetes(&proxy)),
            snippet(
                "claude-code",
                "Claude Code",
                format!(
                    "HTTPS_PROXY={proxy} NODE_EXTRA_CA_CERTS={ca} ANTHROPIC_API_KEY={PLACEHOLDER} claude"
                ),
            ),
            snippet(
                "codex",
                "Codex and other agents with OPENAI_API_KEY",
                format!(
                    "HTTPS_PROXY={proxy} SSL_CERT_FILE={ca} NODE_EXTRA_CA_CERTS={ca} OPENAI_API_KEY={PLACEHOLDER} codex"
                ),
            ),
            snippet(
                "run",
                "Any program on this machine, in a sandbox",
                format!("cloakroom run --workload {} -- COMMAND", self.workload),
            ),
        ]
    }
}

fn kubernetes(proxy: &str) -> String {
    format!(
        "# kubectl create configmap cloakroom-ca --from-file=ca.pem\n# kubectl create secret generic cloakroom --from-literal=proxy={proxy} --from-literal=placeholder={PLACEHOLDER}\nspec:\n  containers:\n    - name: agent\n      image: IMAGE\n      env:\n        - name: HTTPS_PROXY\n          valueFrom: {{ secretKeyRef: {{ name: cloakroom, key: proxy }} }}\n        - name: API_KEY\n          valueFrom: {{ secretKeyRef: {{ name: cloakroom, key: placeholder }} }}\n        - name: SSL_CERT_FILE\n          value: /etc/cloakroom/ca.pem\n        - name: NODE_EXTRA_CA_CERTS\n          value: /etc/cloakroom/ca.pem\n      volumeMounts:\n        - {{ name: ca, mountPath: /etc/cloakroom, readOnly: true }}\n  volumes:\n    - name: ca\n      configMap: {{ name: cloakroom-ca }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_names_the_broker_and_leaves_secrets_to_be_filled_in() {
        let place = Place {
            listen: "127.0.0.1:8480".parse().unwrap(),
            tls: false,
            ca: "/data/ca.pem",
            workload: "robot",
        };
        let all = place.snippets();
        for one in &all {
            let names = one.text.contains("127.0.0.1:8480") || one.id == "run";
            assert!(names && !one.text.contains("cwk_"), "{}: {}", one.id, one.text);
        }
        for wanted in ["curl", "python", "node", "git", "boto3", "docker", "kubernetes", "claude-code"] {
            assert!(all.iter().any(|one| one.id == wanted), "{wanted}");
        }
    }
}
