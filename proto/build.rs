//! Compiles the protocol without protoc and keeps the descriptor set for reflection.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a build script talks to cargo")]

use prost::Message;
use std::path::PathBuf;

const FILES: &[&str] = &["model", "ingest", "enrolment", "cluster", "query", "admin", "diagnostic"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = FILES.iter().map(|name| format!("quorate/v1/{name}.proto")).collect();
    for file in &files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".quorate.v1.Frame")
        .bytes(".quorate.v1.Piece")
        .bytes(".quorate.v1.BackupResponse")
        .build_transport(true)
        .codec_path("crate::codec::Codec")
        .compile_fds(descriptors)?;
    Ok(())
}
