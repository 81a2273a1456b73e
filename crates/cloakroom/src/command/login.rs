//! A login from the command line: says what the person has to do, and waits for what comes of it.

use super::grant::{bare, client, needed};
use crate::broker::{Broker, segment};
use crate::catalogue::Service;
use crate::cli::{AddCredential, GrantKind, LoginAgainArguments};
use crate::failure::Failure;
use crate::output::Output;
use cloakroom_admin::wire::{CredentialView, LoginAgain, LoginAnswer, LoginView, NewLogin};
use cloakroom_egress::custody::Intake;
use cloakroom_model::Destination;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, IsTerminal, Write, stderr, stdin};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest request of a browser that is read, and how long one may take.
const LONGEST_LINE: u64 = 16 * 1024;
const SLOWEST: Duration = Duration::from_secs(10);

/// How a person logs in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Browser,
    Device,
}

/// Whether a login is asked for, and how: where an OAuth client is named and no secret is to come.
pub(super) fn flow(new: &AddCredential) -> Option<Flow> {
    match new.grant.grant {
        Some(GrantKind::AuthorizationCode) => {
            Some(if new.login.device { Flow::Device } else { Flow::Browser })
        }
        Some(GrantKind::DeviceCode) => Some(Flow::Device),
        Some(_) => None,
        None if new.login.device => Some(Flow::Device),
        None => new.grant.client_id.is_some().then_some(Flow::Browser),
    }
}

/// A new credential, by a login.
pub(super) fn add(
    broker: &Broker,
    new: &AddCredential,
    flow: Flow,
    known: Option<&Service>,
    destinations: Vec<Destination>,
    output: &Output,
) -> Result<CredentialView, Failure> {
    // Asked first: nobody logs in for a broker that is not there.
    let intake: Intake = broker.read("intake")?;
    let document = super::credential::seal(&intake, document(new, flow, known)?, new.name()?)?;
    let back = Back::of(new.login.redirect.redirect.as_deref())?;
    let request = NewLogin { name: new.name()?.clone(), destinations, document, redirect: back.uri() };
    let login = broker.post("logins", &request)?;
    see_through(broker, login, back, output)
}

/// A new login for a credential that there is.
pub(super) fn again(
    broker: &Broker,
    arguments: &LoginAgainArguments,
    output: &Output,
) -> Result<CredentialView, Failure> {
    let back = Back::of(arguments.redirect.redirect.as_deref())?;
    let request = LoginAgain { device: arguments.device, redirect: back.uri() };
    let login = broker.post(&format!("credentials/{}/login", segment(&arguments.name)?), &request)?;
    see_through(broker, login, back, output)
}

/// What egress is told of the server and the OAuth client: JSON.
fn document(new: &AddCredential, flow: Flow, known: Option<&Service>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let (options, login) = (&new.grant, &new.login);
    // An issuer names its endpoints itself: what is known of the preset could be another server's.
    let preset = known.and_then(|known| known.oauth.as_ref()).filter(|_| options.issuer.is_none());
    let token = options.token_endpoint.as_ref().or(preset.map(|oauth| &oauth.token));
    if options.issuer.is_none() {
        needed(token, "--issuer URL, or --token-endpoint and --authorization-endpoint")?;
    }
    let mut parameters: serde_json::Map<String, Value> = preset
        .map(|oauth| &oauth.authorize)
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    parameters.extend(login.parameter.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
    let document = bare(json!({
        "flow": if flow == Flow::Device { "device" } else { "browser" },
        "issuer": options.issuer,
        "token_endpoint": token,
        "authorization_endpoint":
            login.authorization_endpoint.as_ref().or(preset.map(|oauth| &oauth.authorization)),
        "device_authorization_endpoint":
            login.device_endpoint.as_ref().or(preset.and_then(|oauth| oauth.device.as_ref())),
        "revocation_endpoint":
            login.revocation_endpoint.as_ref().or(preset.and_then(|oauth| oauth.revocation.as_ref())),
        "prefix": known.and_then(|known| known.prefixes.first()),
        "client": client(options, None)?,
        "scope": options.scope,
        "resource": login.resource,
        "parameters": parameters,
        "bound": login.bound,
    }));
    serde_json::to_vec(&document).map(Zeroizing::new).map_err(|error| Failure::failed(error.to_string()))
}

/// How the answer comes back.
enum Back {
    /// The console takes it.
    Console,
    /// This command listens for it.
    Here(TcpListener, String),
    /// The person copies the address that the browser ends at.
    Pasted(String),
}

impl Back {
    fn of(redirect: Option<&str>) -> Result<Self, Failure> {
        let here = |address: &str, path: &str| {
            let listener = TcpListener::bind(address).map_err(|error| {
                Failure::failed(format!("cannot listen on {address}: {}", crate::failure::plain(&error)))
                    .hinting("let the browser be sent elsewhere: --redirect loopback")
            })?;
            let uri = format!("http://{}{path}", listener.local_addr()?);
            Ok(Self::Here(listener, uri))
        };
        match redirect {
            None | Some("console") => Ok(Self::Console),
            Some("loopback") => here("127.0.0.1:0", "/callback"),
            Some(uri) => match uri.strip_prefix("http://127.0.0.1:") {
                Some(rest) => {
                    let (port, path) = rest.split_once('/').unwrap_or((rest, ""));
                    here(&format!("127.0.0.1:{port}"), &format!("/{path}"))
                }
                None => Ok(Self::Pasted(uri.to_owned())),
            },
        }
    }

    fn uri(&self) -> Option<String> {
        match self {
            Self::Console => None,
            Self::Here(_, uri) | Self::Pasted(uri) => Some(uri.clone()),
        }
    }

    /// The query that the browser was sent back with; `None` where the console takes it.
    fn query(self) -> Result<Option<Zeroizing<String>>, Failure> {
        match self {
            Self::Console => Ok(None),
            Self::Here(listener, uri) => {
                let path = uri.splitn(4, '/').nth(3).unwrap_or_default();
                loop {
                    let (stream, _) = listener.accept()?;
                    if let Some(query) = answered(stream, &format!("/{path}")) {
                        return Ok(Some(query));
                    }
                }
            }
            Self::Pasted(_) => {
                let _ = write!(stderr(), "the address that the browser ends at: ");
                let mut line = Zeroizing::new(String::new());
                stdin().lock().read_line(&mut line)?;
                let query = line.trim().split_once('?').map(|(_, query)| query.split('#').next());
                let none = || {
                    Failure::bad_input("there is no answer in this address")
                        .hinting("copy it from the browser whole, with all that follows the question mark")
                };
                Ok(Some(Zeroizing::new(query.flatten().ok_or_else(none)?.to_owned())))
            }
        }
    }
}

/// One request of a browser: its query, where it is for this path. Anything else is answered with nothing to see.
fn answered(stream: TcpStream, path: &str) -> Option<Zeroizing<String>> {
    stream.set_read_timeout(Some(SLOWEST)).ok()?;
    let mut line = Zeroizing::new(String::new());
    let mut reader = BufReader::new(std::io::Read::take(&stream, LONGEST_LINE));
    reader.read_line(&mut line).ok()?;
    let target = line.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let query = target.split_once('?').filter(|(at, _)| *at == path);
    let query = query.map(|(_, query)| Zeroizing::new(query.to_owned()));
    // The rest of the head is read, or closing would reset the connection under the answer.
    while matches!(reader.read_line(&mut line), Ok(read) if read > 2) {
        line.clear();
    }
    let (status, words) = match query {
        Some(_) => {
            ("200 OK", "The answer is with the broker: see what the terminal says. You can close this page.")
        }
        None => ("404 Not Found", "Nothing is here."),
    };
    let length = words.len();
    let _ = write!(
        &stream,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\ncache-control: no-store\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n{words}"
    );
    query
}

/// Says what is to be done, and waits until it is.
fn see_through(
    broker: &Broker,
    mut login: LoginView,
    back: Back,
    output: &Output,
) -> Result<CredentialView, Failure> {
    invite(&login, output)?;
    let path = format!("logins/{}", login.id);
    if login.url.is_some()
        && let Some(query) = back.query()?
    {
        login = broker.post("logins/answer", &LoginAnswer { query: query.to_string() })?;
    }
    while login.state == "waiting" {
        login = broker.read(&path)?;
    }
    let lost = || Failure::failed("the broker does not say what came of the login");
    if login.state == "done" {
        return login.credential.ok_or_else(lost);
    }
    let (code, reason) = (login.code.ok_or_else(lost)?, login.reason.ok_or_else(lost)?);
    Err(Failure::login(&code, reason).hinting(login.hint.unwrap_or_default()))
}

fn invite(login: &LoginView, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.data(login, String::new);
    }
    if let Some(url) = &login.url {
        output.talk(&format!("log in with a browser:\n\n  {url}\n"));
        if stderr().is_terminal() {
            open(url);
        }
    }
    if let (Some(code), Some(uri)) = (&login.user_code, &login.verification_uri) {
        output.talk(&format!("open {uri} anywhere, and type in:\n\n  {code}\n"));
        if let Some(complete) = &login.verification_uri_complete {
            output.talk(&format!("or open {complete}"));
        }
    }
    output.talk(&format!("waiting until {}", login.expires));
    Ok(())
}

/// Opens the browser where there is one; the URL is on the terminal anyway.
fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    drop(quiet);
}
