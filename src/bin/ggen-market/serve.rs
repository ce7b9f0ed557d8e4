//! `serve`: a registry that lies in a folder, over HTTP. Standard output gets one line, the address, once it can be asked.

use crate::{
    args::Serve,
    failure::{Code, Failure},
    settings::Settings,
};
use ggen_marketplace::{FileServer, ServeOptions};
use serde::Serialize;
use std::{net::SocketAddr, path::PathBuf};

#[derive(Serialize)]
struct Document {
    url: String,
    folder: String,
}

pub(crate) async fn run(args: &Serve, settings: &Settings, stop: impl Future<Output = i32>) -> Result<Code, Failure> {
    let ui = &settings.ui;
    let folder = folder(args, settings)?;
    let mut options = ServeOptions::default();
    options.address = SocketAddr::new(args.addr, args.port);
    let server = FileServer::bind(&folder, options).await?;
    if !folder.join("checkpoint").is_file() {
        ui.warn(&format!("{} holds no registry yet: there is no checkpoint in it", folder.display()));
    }
    let url = format!("http://{}/", server.address());
    if ui.json {
        // On one line: whoever started this reads on while it runs.
        let document = Document { url, folder: folder.display().to_string() };
        ui.write(|out| writeln!(out, "{}", serde_json::to_string(&document)?))?;
    } else {
        ui.write(|out| writeln!(out, "{url}"))?;
    }
    if !args.addr.is_loopback() {
        ui.note("everybody who can reach this address can read the registry");
    }
    server
        .run(async {
            stop.await;
        })
        .await;
    Ok(Code::Done)
}

fn folder(args: &Serve, settings: &Settings) -> Result<PathBuf, Failure> {
    if let Some(folder) = &args.folder {
        return Ok(folder.clone());
    }
    let store = settings.store(None)?;
    let path = store.strip_prefix("file://").unwrap_or(&store);
    if path.contains("://") || path == "memory:" {
        return Err(Failure::usage(format!("{store} is no folder")).hint("name the folder of the registry"));
    }
    Ok(path.into())
}
