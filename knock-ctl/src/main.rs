fn main() -> std::process::ExitCode {
    knock_ctl::cli::run()
}
