//! `test`: the suite, over every provider that this machine has.

use rehearsal::providers::{Choice, docker};
use xshell::{Shell, cmd};

use crate::exit;

/// Tells the suite which provider its servers come from.
const PROVIDER_VARIABLE: &str = "REHEARSAL_TEST_PROVIDER";

pub async fn run(provider: Option<Choice>, arguments: &[String]) -> anyhow::Result<()> {
    let shell = Shell::new()?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    // The suite's own servers are local: they are quick. Docker's own tests ask for docker by name.
    let providers = match provider {
        Some(Choice::Local) => vec!["local"],
        Some(Choice::Docker) => vec!["docker"],
        Some(Choice::Auto | Choice::Embedded) | None => available().await,
    };
    if providers.is_empty() {
        return Err(exit::usage(
            "neither a container engine nor PostgreSQL's server programs are here",
            "install PostgreSQL (Debian: apt-get install postgresql) or start a Docker engine",
        ));
    }
    for (index, provider) in providers.into_iter().enumerate() {
        // Of all that is tested, who starts the servers matters to the commands alone.
        let what: &[&str] = if index == 0 { &["--workspace"] } else { &["--package", "xtask", "--test", "cli"] };
        // All that fails is worth knowing: a run takes minutes.
        let mut command =
            cmd!(shell, "{cargo} test {what...} --no-fail-fast {arguments...}").env(PROVIDER_VARIABLE, provider);
        for name in crate::machine::variables_of_cargo_run() {
            command = command.env_remove(name);
        }
        command.run().map_err(|error| {
            exit::failed(
                format!("the suite failed over the {provider} provider ({error})"),
                "read the first failure above",
            )
        })?;
    }
    Ok(())
}

async fn available() -> Vec<&'static str> {
    let config = rehearsal::config::Config::default();
    let environment = crate::machine::environment(&config);
    let programs = rehearsal::postgres::programs::find(&[], &environment.path);
    let mut providers = Vec::new();
    if programs.iter().any(|installation| installation.has_server) {
        providers.push("local");
    }
    if docker::engine(environment.docker_host.as_deref()).await.is_ok() {
        providers.push("docker");
    }
    providers
}
