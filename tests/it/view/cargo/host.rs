//! Who serves a registry to the real Cargo: the program itself, and nginx by the template that it writes out.

use crate::{
    cli::Sandbox,
    deploy::nginx::{self, Nginx},
    support::http::{Manner, Server},
};
use std::{
    any::Any,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    /// The server of the tests, in that manner.
    Tests(Manner),
    /// `ggen-market serve`. It knows no tokens.
    Serve,
    /// nginx, with the registry below a path. With a token, it lets in who sends that.
    Nginx(Option<&'static str>),
}

/// A server that runs until it is dropped.
pub(super) struct Host {
    /// The address of the registry, without a slash at its end.
    pub(super) url: String,
    _running: Box<dyn Any + Send + Sync>,
}

/// A process that ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Host {
    /// `None` where there is no such server on this machine.
    pub(super) async fn start(folder: &Path, by: By) -> Option<Self> {
        Some(match by {
            By::Tests(manner) => {
                let server = Server::with(folder, manner).await;
                Self { url: server.url.clone(), _running: Box::new(server) }
            }
            By::Serve => Self::serve(folder),
            By::Nginx(token) => Self::nginx(nginx::program()?, folder, token),
        })
    }

    fn serve(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ggen-market"));
        command.arg("serve").arg(folder).args(["--port", "0"]).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().trim_end_matches('/').to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{line:?}");
        Self { url, _running: Box::new(Process(child)) }
    }

    fn nginx(program: &str, folder: &Path, token: Option<&str>) -> Self {
        // Its workers may be somebody else: they have to be let in, as on any server.
        #[cfg(unix)]
        std::fs::set_permissions(folder.parent().unwrap(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let mut s = Sandbox::with_registry();
        s.set("GGEN_MARKET_STORE", folder.to_str().unwrap());
        let lock = |s: &Sandbox| {
            let Some(token) = token else { return };
            let config = s.read("deploy/nginx/registry.conf");
            let check = format!("server {{\n    if ($http_authorization != \"{token}\") {{ return 401; }}\n");
            let locked = config.replacen("server {\n", &check, 1);
            assert_ne!(locked, config);
            s.write("deploy/nginx/registry.conf", locked);
        };
        let nginx = Nginx::start_with(program, &mut s, "/some/path", &lock);
        Self { url: nginx.url.clone(), _running: Box::new((nginx, s)) }
    }
}
