//! Runs an opened broker: says that it is ready, waits for a signal or a listener's end, drains, closes the journal.

use super::link::Introduction;
use super::open::Opened;
use super::{console, custody, leases};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output::Output;
use cloakroom_admin::wire::PasskeyLink;
use cloakroom_model::Timestamp;
use cloakroom_proxy::{ProxyError, VsockListener};
use cloakroom_store::journal::Entry;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(super) async fn until_stopped(data: &DataDir, opened: Opened, output: &Output) -> Result<(), Failure> {
    // Before the ready line: from then on a signal must drain.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // What is not asked for must not end the broker either.
    let mut hangup = signal(SignalKind::hangup())?;
    let Opened {
        proxy,
        admin,
        journal,
        workloads,
        names,
        console,
        console_tls,
        acme,
        socket,
        link,
        webhook,
        traces,
        notifier,
        witnesses,
        issuer,
        ask_every,
    } = opened;
    let ready = Ready {
        listen: workloads.network.local_addr()?,
        console: console.local_addr()?,
        console_scheme: if console_tls.is_some() { "https" } else { "http" },
        vsock: workloads.vsock.as_ref().map(VsockListener::port).transpose()?,
        transparent: workloads.transparent.as_ref().map(TcpListener::local_addr).transpose()?,
        dns: names.as_ref().map(|names| names.tcp.local_addr()).transpose()?,
        issuer: issuer.as_ref().map(|(_, listener)| listener.local_addr()).transpose()?,
    };
    if let Some((webhook, carried)) = webhook {
        // Ends with the runtime: the journal has what it did not deliver.
        drop(tokio::spawn(webhook.run(Arc::clone(&admin.events), carried)));
    }
    if let Some((traces, calls)) = traces {
        // Ends with the runtime: what it did not deliver is lost, and the journal has it.
        drop(tokio::spawn(traces.run(Arc::clone(admin.events.meters()), calls)));
    }
    if let Some(notifier) = notifier {
        // Ends with the runtime: what nobody was told of waits in the inbox.
        drop(tokio::spawn(notifier.run(Arc::clone(&admin))));
    }
    let counting = Arc::clone(&admin);
    let counter = tokio::spawn(async move { counting.uses.keep(&*counting.store).await });
    if let Some(witnesses) = witnesses {
        drop(tokio::spawn(witnesses.run(Arc::clone(&journal), Arc::clone(&admin.events))));
    }
    // Ends with the runtime: what it did not record, the next start does.
    drop(tokio::spawn(Arc::clone(&admin).record_ends()));
    let (stop, stopped) = watch::channel(false);
    let lending = tokio::spawn(leases::tend(Arc::clone(&admin), Arc::clone(&proxy.custody), stopped.clone()));
    drop(tokio::spawn(custody::watch(Arc::clone(&admin), ask_every, stopped.clone())));
    let mut servers = JoinSet::new();
    let (shutdown, serving) = (until(&stopped), Arc::clone(&proxy));
    servers.spawn(async move {
        cloakroom_proxy::serve(serving, workloads, shutdown).await.map_err(|e| e.to_string())
    });
    if let Some(names) = names {
        let (shutdown, asked) = (until(&stopped), Arc::clone(&proxy));
        servers.spawn(async move {
            cloakroom_proxy::serve_names(asked, names, shutdown).await.map_err(|e| e.to_string())
        });
    }
    // The console goes last: until then it says that the broker stops.
    let (hush, hushed) = watch::channel(false);
    let (shutdown, of_console) = (until(&hushed), Arc::clone(&admin));
    let tls = console_tls.as_ref().map(console::for_connections);
    servers.spawn(async move {
        cloakroom_admin::serve_console(of_console, console, tls, shutdown).await.map_err(|e| e.to_string())
    });
    if let Some(acme) = acme {
        // Ends with the runtime: what was not finished is asked for anew.
        drop(tokio::spawn(acme.run(Arc::clone(&admin), until(&stopped))));
    }
    if let Some((issuer, listener)) = issuer {
        let shutdown = until(&stopped);
        servers.spawn(async move {
            cloakroom_admin::serve_issuer(issuer, listener, shutdown).await.map_err(|e| e.to_string())
        });
    }
    let shutdown = until(&stopped);
    let operated = Arc::clone(&admin);
    servers.spawn(async move {
        cloakroom_admin::serve_socket(operated, socket, shutdown).await.map_err(|e| e.to_string())
    });
    let introduction = link.map(|(link, introduction)| {
        let (shutdown, operated) = (until(&stopped), Arc::clone(&admin));
        servers.spawn(async move {
            cloakroom_admin::serve_link(operated, link, shutdown).await.map_err(|e| e.to_string())
        });
        introduction
    });
    let scheme = if proxy.entrance.tls.is_some() { "https" } else { "http" };
    let enrol = admin.first_link().await.map_err(|problem| Failure::failed(problem.to_string()))?;
    ready.say(data, scheme, introduction, enrol.as_ref(), output)?;
    #[cfg(debug_assertions)]
    crate::confine::attempt();

    let mut is_handed_over = false;
    let ended = loop {
        tokio::select! {
            () = first_of(&mut terminate, &mut interrupt) => break Ok(()),
            () = admin.handover.taken() => {
                tracing::info!("another broker has the listening sockets");
                is_handed_over = true;
                break Ok(());
            }
            ended = servers.join_next() => break Err(why(ended)),
            _ = hangup.recv() => {
                say_read_again("listener", proxy.entrance.reload());
                say_read_again("console", console_tls.as_ref().map_or(Ok(false), |tls| tls.reload()));
            }
        }
    };
    tracing::info!("stopping");
    admin.draining.begin();
    stop.send_replace(true);
    admin.feeds.end();
    while !is_handed_over && servers.len() > 1 {
        drop(servers.join_next().await);
    }
    hush.send_replace(true);
    while servers.join_next().await.is_some() {}
    // After the last call: what it was lent goes back.
    drop(lending.await);
    leases::end_all(&proxy.custody).await;
    counter.abort();
    if let Err(error) = admin.uses.copy_to(&*admin.store).await {
        tracing::warn!(%error, "the rows could not be told how often placeholders were used; the next start counts anew");
    }
    let closed = journal.append(&Entry::Stop { at: Timestamp::now() }).and_then(|_| journal.close());
    if !is_handed_over {
        // Nobody answers there any more; a failure to say so hurts nobody.
        let _ = std::fs::remove_file(data.socket());
    }
    ended.and(closed.map_err(Failure::from))
}

fn say_read_again(listener: &'static str, read: Result<bool, ProxyError>) {
    match read {
        Ok(true) => tracing::info!(listener, "the certificate was read again"),
        Ok(false) => {}
        Err(error) => {
            tracing::error!(listener, %error, "the certificate could not be read again; the former one is shown on")
        }
    }
}

async fn first_of(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn until(stopped: &watch::Receiver<bool>) -> impl Future<Output = ()> + Send + use<> {
    let mut stopped = stopped.clone();
    async move { drop(stopped.wait_for(|stop| *stop).await) }
}

fn why(ended: Option<Result<Result<(), String>, tokio::task::JoinError>>) -> Failure {
    match ended {
        Some(Ok(Err(error))) => Failure::failed(error),
        _ => Failure::failed("a listener ended by itself"),
    }
}

/// Where the listeners are.
struct Ready {
    listen: SocketAddr,
    console: SocketAddr,
    console_scheme: &'static str,
    vsock: Option<u32>,
    transparent: Option<SocketAddr>,
    dns: Option<SocketAddr>,
    issuer: Option<SocketAddr>,
}

impl Ready {
    fn say(
        &self,
        data: &DataDir,
        scheme: &str,
        introduction: Option<Introduction>,
        enrol: Option<&PasskeyLink>,
        output: &Output,
    ) -> Result<(), Failure> {
        let Self { listen, console, console_scheme, vsock, transparent, dns, issuer } = self;
        let ca = data.ca();
        let mut document = json!({
            "ready": true,
            "listen": listen.to_string(),
            "console": console.to_string(),
            "ca": ca,
        });
        if let Some(introduction) = introduction {
            document["operator"] = json!(introduction);
        }
        let mut further = String::new();
        if let Some(port) = vsock {
            document["vsock"] = json!(port);
            further.push_str(&format!("vsock {port}, "));
        }
        for (name, address) in [("transparent", transparent), ("dns", dns)] {
            if let Some(address) = address {
                document[name] = address.to_string().into();
                further.push_str(&format!("{name} {address}, "));
            }
        }
        if let Some(issuer) = issuer {
            document["issuer"] = issuer.to_string().into();
        }
        if let Some(link) = enrol {
            document["enrol"] = link.url.as_str().into();
            output.talk(&format!(
                "nobody can log in at the console yet; the first person makes a passkey within the hour: {}",
                link.url
            ));
        }
        output.data(&document, || {
            format!(
                "cloakroom is ready: workloads {scheme}://{listen}, {further}console {console_scheme}://{console}, ca {}",
                ca.display()
            )
        })
    }
}
