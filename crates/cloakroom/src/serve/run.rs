//! Runs an opened broker: says that it is ready, waits for a signal or a listener's end, drains, closes the journal.

use super::open::Opened;
use super::ready::Ready;
use super::{console, custody, leases};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output::Output;
use cloakroom_admin::Admin;
use cloakroom_model::Timestamp;
use cloakroom_proxy::{BesideTls, Proxy, ProxyError};
use cloakroom_store::journal::{Entry, Journal};
use std::fmt::Display;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub(super) async fn until_stopped(data: &DataDir, opened: Opened, output: &Output) -> Result<(), Failure> {
    // Before the ready line: from then on a signal must drain.
    let signals = Signals::catch()?;
    let ready = Ready::of(&opened)?;
    let introduction = opened.link.as_ref().map(|(_, introduction)| introduction.clone());
    let running = Running::begin(opened);
    let enrol = running.admin.first_link().await.map_err(|problem| Failure::failed(problem.to_string()))?;
    ready.say(data, introduction, enrol.as_ref(), output)?;
    #[cfg(debug_assertions)]
    crate::confine::attempt();
    running.until_stopped(data, signals).await
}

/// What a broker is told from outside.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// What is not asked for must not end the broker either.
    hangup: Signal,
}

/// Why a broker stops.
enum Stop {
    Told,
    /// Another one has the listening sockets.
    HandedOver,
    Failed(Failure),
}

impl Signals {
    fn catch() -> Result<Self, Failure> {
        let [terminate, interrupt, hangup] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        Ok(Self { terminate: terminate?, interrupt: interrupt?, hangup: hangup? })
    }
}

/// Everything that runs.
struct Running {
    admin: Arc<Admin>,
    proxy: Arc<Proxy>,
    journal: Arc<Journal>,
    console_tls: Option<Arc<BesideTls>>,
    /// One for each listener, the console's last to end.
    servers: JoinSet<Result<(), String>>,
    /// Copies the uses of placeholders to their rows.
    counter: JoinHandle<()>,
    /// Sees to what is leased.
    lending: JoinHandle<()>,
    stop: watch::Sender<bool>,
    /// Ends the console: until then it says that the broker stops.
    hush: watch::Sender<bool>,
}

impl Running {
    fn begin(opened: Opened) -> Self {
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
            telling,
            issuer,
            ask_every,
        } = opened;
        telling.begin(&admin);
        let counting = Arc::clone(&admin);
        let counter = tokio::spawn(async move { counting.uses.keep(&*counting.store).await });
        // Ends with the runtime: what it did not record, the next start does.
        drop(tokio::spawn(Arc::clone(&admin).record_ends()));
        let (stop, stopped) = watch::channel(false);
        let (hush, hushed) = watch::channel(false);
        let custody = Arc::clone(&proxy.custody);
        let lending = tokio::spawn(leases::tend(Arc::clone(&admin), custody, stopped.clone()));
        drop(tokio::spawn(custody::watch(Arc::clone(&admin), ask_every, stopped.clone())));
        let mut servers = JoinSet::new();
        let (ours, all) = (|| Arc::clone(&admin), || until(&stopped));
        servers.spawn(said(cloakroom_proxy::serve(Arc::clone(&proxy), workloads, all())));
        if let Some(names) = names {
            servers.spawn(said(cloakroom_proxy::serve_names(Arc::clone(&proxy), names, all())));
        }
        let tls = console_tls.as_ref().map(console::for_connections);
        servers.spawn(said(cloakroom_admin::serve_console(ours(), console, tls, until(&hushed))));
        if let Some(acme) = acme {
            // Ends with the runtime: what was not finished is asked for anew.
            drop(tokio::spawn(acme.run(ours(), all())));
        }
        if let Some((issuer, listener)) = issuer {
            servers.spawn(said(cloakroom_admin::serve_issuer(issuer, listener, all())));
        }
        servers.spawn(said(cloakroom_admin::serve_socket(ours(), socket, all())));
        if let Some((link, _)) = link {
            servers.spawn(said(cloakroom_admin::serve_link(ours(), link, all())));
        }
        Self { admin, proxy, journal, console_tls, servers, counter, lending, stop, hush }
    }

    async fn until_stopped(mut self, data: &DataDir, mut signals: Signals) -> Result<(), Failure> {
        let why = self.until_something_ends(&mut signals).await;
        tracing::info!("stopping");
        let is_handed_over = matches!(why, Stop::HandedOver);
        let closed = self.drain(is_handed_over).await;
        if !is_handed_over {
            // Nobody answers there any more; a failure to say so hurts nobody.
            let _ = std::fs::remove_file(data.socket());
        }
        match why {
            Stop::Failed(failure) => Err(failure),
            Stop::Told | Stop::HandedOver => closed,
        }
    }

    async fn until_something_ends(&mut self, signals: &mut Signals) -> Stop {
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return Stop::Told,
                _ = signals.interrupt.recv() => return Stop::Told,
                () = self.admin.handover.taken() => {
                    tracing::info!("another broker has the listening sockets");
                    return Stop::HandedOver;
                }
                ended = self.servers.join_next() => return Stop::Failed(why(ended)),
                _ = signals.hangup.recv() => self.read_certificates_again(),
            }
        }
    }

    fn read_certificates_again(&self) {
        say_read_again("listener", self.proxy.entrance.reload());
        say_read_again("console", self.console_tls.as_ref().map_or(Ok(false), |tls| tls.reload()));
    }

    /// Lets calls end, gives back what was leased, and closes the journal.
    async fn drain(mut self, is_handed_over: bool) -> Result<(), Failure> {
        self.admin.draining.begin();
        self.stop.send_replace(true);
        self.admin.feeds.end();
        while !is_handed_over && self.servers.len() > 1 {
            drop(self.servers.join_next().await);
        }
        self.hush.send_replace(true);
        while self.servers.join_next().await.is_some() {}
        // After the last call: what it was lent goes back.
        drop(self.lending.await);
        leases::end_all(&self.proxy.custody).await;
        self.counter.abort();
        if let Err(error) = self.admin.uses.copy_to(&*self.admin.store).await {
            tracing::warn!(%error, "the rows could not be told how often placeholders were used; the next start counts anew");
        }
        self.journal.append(&Entry::Stop { at: Timestamp::now() })?;
        Ok(self.journal.close()?)
    }
}

/// What a listener says at its end.
async fn said<E: Display>(served: impl Future<Output = Result<(), E>>) -> Result<(), String> {
    served.await.map_err(|error| error.to_string())
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
