pub mod attach;
pub mod detach;
pub mod events;
pub const DEFAULT_CONFIG: &str = "/etc/knock/knock.toml";
#[derive(clap::Parser)]
enum Tmp {
    Attach(attach::AttachArguments),
    Detach(detach::DetachArguments),
    Events(events::EventsArguments),
    Knock(crate::client::KnockArguments),
}
pub fn run() -> std::process::ExitCode {
    use clap::Parser;
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .format_target(false)
        .init();
    let r = match Tmp::parse() {
        Tmp::Attach(a) => attach::run(a),
        Tmp::Detach(a) => detach::run(a),
        Tmp::Events(a) => events::run(a),
        Tmp::Knock(a) => crate::client::run(a),
    };
    r.unwrap_or_else(|e| {
        eprintln!("knock-ctl: {e:#}");
        1.into()
    })
}
