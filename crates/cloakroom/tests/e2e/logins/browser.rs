//! The authorization code flow, step by step as a browser goes.

use super::{Login, Stage};
use serde_json::Value;

/// The credential works, and what reached the destination was issued.
fn works(stage: &Stage, login: Login) -> Value {
    let ended = login.end();
    assert!(ended.status.success(), "{ended:?}\n{}", stage.broker().output());
    let issued = stage.permit();
    let answer = stage.call(&issued);
    assert_eq!(answer.text(), format!("you sent Bearer {}", issued.text), "{}", stage.broker().output());
    let presented = stage.presented();
    assert!(stage.server.issued().contains(&presented.strip_prefix("Bearer ").unwrap().to_owned()));
    ended.json()
}

#[test]
fn a_login_in_the_browser_becomes_a_credential_and_neither_code_nor_token_is_shown() {
    let Some(stage) = Stage::new() else { return };
    let login = stage.begin("app", &["--scope", "openid"]);
    let url = login.url().to_owned();
    assert!(url.starts_with(&format!("{}/auth?", stage.server.issuer())), "{url}");
    assert!(url.contains("code_challenge_method=S256") && !url.contains("client-"), "{url}");
    let page = stage.browse(&url);
    assert!(page.contains("Logged in") && page.contains("credential"), "{page}");
    let credential = works(&stage, login);
    assert_eq!((credential["name"].as_str(), credential["kind"].as_str()), (Some("c"), Some("oauth")));
    assert_eq!(stage.server.requests(), 2, "the code, and one refresh");
}

#[test]
fn a_login_comes_back_to_the_command_itself_where_that_listens() {
    let Some(stage) = Stage::new() else { return };
    let login = stage.begin("public", &["--scope", "openid", "--redirect", "loopback"]);
    assert!(login.url().contains("redirect_uri=http%3A%2F%2F127.0.0.1%3A"), "{}", login.url());
    assert!(stage.browse(login.url()).contains("The answer is with the broker"));
    works(&stage, login);
}

#[test]
fn the_address_that_the_browser_ends_at_can_be_pasted() {
    let Some(stage) = Stage::new() else { return };
    let mut login = stage.begin("app", &["--scope", "openid", "--redirect", "https://localhost/callback"]);
    let jar = stage.browse_with(login.url(), &["-L", "--max-redirs", "2", "-w", "\n%{redirect_url}"]);
    let address = jar.lines().last().unwrap().to_owned();
    assert!(address.starts_with("https://localhost/callback?"), "{address}");
    login.tell(&address);
    works(&stage, login);
}

#[test]
fn what_the_access_token_is_for_is_said_at_each_step() {
    let Some(stage) = Stage::new() else { return };
    let resource = "https://api.example.com";
    let login =
        stage.begin("posting", &["--scope", "openid api", "--resource", resource, "--client-secret-in-body"]);
    assert!(login.url().contains("resource=https%3A%2F%2Fapi.example.com"), "{}", login.url());
    stage.browse(login.url());
    works(&stage, login);
    let form = stage.server.test("seen")["form"].as_str().unwrap().to_owned();
    assert!(
        form.contains("grant_type=refresh_token") && form.contains("resource=https%3A%2F%2Fapi.example.com")
    );
    assert!(form.contains("client_secret="), "client_secret_post");
}
