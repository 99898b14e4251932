//! The messages of etcd are what their descriptions in `proto` say. No program is needed to
//! build them: they stand in the repository, and this compares.

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;

/// The files with services; the others are what they need.
const FILES: &[&str] = &[
    "auth.proto",
    "cluster.proto",
    "health.proto",
    "kv.proto",
    "lease.proto",
    "maintenance.proto",
    "reflection.proto",
    "v3electionpb.proto",
    "v3lockpb.proto",
    "watch.proto",
];

/// Where the descriptors of all messages stand, as the generated code does.
const DESCRIPTORS: &str = "descriptors.bin";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Everything that follows from the descriptions: names of files with what is in them.
fn generate() -> Vec<(String, Vec<u8>)> {
    let descriptors = protox::compile(FILES, [folder("proto")]).unwrap();
    let mut generated = vec![(DESCRIPTORS.to_owned(), without_sources(&descriptors))];
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    let files = descriptors.file.into_iter().map(|file| {
        let package = file.package().split('.').map(ToOwned::to_owned);
        (prost_build::Module::from_parts(package), file)
    });
    for (module, code) in config.generate(files.collect()).unwrap() {
        let name = module.parts().collect::<Vec<_>>().join(".");
        let code = format!("//! Generated from the descriptions of `{name}` in `proto`.\n\n{code}");
        generated.push((format!("{name}.rs"), code.into_bytes()));
    }
    generated
}

/// What a server tells of its messages, without where they are described.
fn without_sources(descriptors: &prost_types::FileDescriptorSet) -> Vec<u8> {
    let mut descriptors = descriptors.clone();
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    descriptors.encode_to_vec()
}

#[test]
fn the_messages_in_the_repository_are_those_of_their_descriptions() {
    let is_update = std::env::var_os("UPDATE_GENERATED").is_some();
    let generated = generate();
    assert!(4 < generated.len(), "nothing was generated");
    for (name, expected) in generated {
        let path = folder("src/etcd/generated").join(&name);
        if is_update {
            fs::write(&path, &expected).unwrap();
        }
        let found = fs::read(&path).unwrap_or_default();
        assert!(
            found == expected,
            "{name} is not what its description says; if that was changed on purpose, \
             UPDATE_GENERATED=1 cargo test -p raft-net --test it generated writes it anew"
        );
    }
}
