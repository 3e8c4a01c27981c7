//! `--print-capabilities`: what VMM managers ask a vhost-user program (QEMU's `docs/interop/vhost-user.json`).

use serde::Serialize;

#[derive(Serialize)]
struct Capabilities {
    #[serde(rename = "type")]
    kind: &'static str,
    features: &'static [&'static str],
}

/// The same features as in `dist/50-samepaged.json`, which a test compares.
const CAPABILITIES: Capabilities = Capabilities {
    kind: "fs",
    features: &[
        "migrate-precopy",
        "posix-acl-negotiation-mode",
        "security-label-negotiation-mode",
        "separate-options",
    ],
};

pub(super) fn json() -> String {
    // A struct of constant strings has no way to fail.
    let mut text = serde_json::to_string_pretty(&CAPABILITIES).unwrap_or_default();
    text.push('\n');
    text
}
