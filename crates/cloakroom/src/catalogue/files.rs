//! The text of every data file, built in. A test compares the lists with the directories.

/// One data file.
macro_rules! files {
    ($directory:literal: $($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../../catalogue/", $directory, $name, ".toml")))),*]
    };
}

/// Services, by name.
#[rustfmt::skip]
pub(super) const SERVICES: &[(&str, &str)] = files!("":
    "airtable" "anthropic" "asana" "atlassian" "binance" "bitbucket" "box" "brave-search" "buildkite" "bybit" "circleci"
    "cloudflare" "cohere" "crates-io" "datadog" "deepseek" "digitalocean" "dropbox" "elevenlabs" "exa" "figma"
    "firecrawl" "fireworks" "fly" "github" "gitlab" "google-calendar" "google-docs" "google-drive"
    "google-gemini" "google-gmail" "google-sheets" "groq" "heroku" "hetzner-cloud" "hubspot" "huggingface"
    "intercom" "linear" "mailgun" "microsoft-calendar" "microsoft-files" "microsoft-mail" "mistral" "netlify"
    "new-relic" "notion" "npm" "openai" "openrouter" "perplexity" "pinecone" "postmark" "pypi" "replicate"
    "resend" "rubygems" "sendgrid" "sentry" "slack" "spotify" "stripe" "supabase" "tavily" "terraform-cloud"
    "todoist" "together" "twilio" "vercel" "xai" "zoom"
);

/// Ready-made policies, by name.
#[rustfmt::skip]
pub(super) const POLICIES: &[(&str, &str)] = files!("policies/":
    "anthropic-messages" "cloudflare-dns-one-zone" "github-git-fetch" "github-git-push" "github-graphql-read"
    "github-one-repo" "github-one-repo-read" "gitlab-one-project-read" "gmail-read" "gmail-read-and-draft"
    "google-calendar-read" "google-drive-read" "linear-read" "microsoft-calendar-read" "microsoft-mail-read-and-draft"
    "notion-read" "npm-publish-one-package" "openai-chat" "pypi-upload" "resend-send" "slack-post-one-channel"
    "stripe-read"
);
