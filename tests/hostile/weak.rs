//! Row 13 again: certificates that no tool of ours makes, or shows, by OpenSSL with its guard off.

use crate::siege::Siege;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Everything that OpenSSL does here ends within this.
const PATIENCE: Duration = Duration::from_secs(20);
const NAMES: &str = "subjectAltName=URI:spiffe://quorate/agent/honest-0\nextendedKeyUsage=clientAuth\nkeyUsage=digitalSignature\n";

/// A kind of certificate that is refused.
struct Weak {
    /// How its key is made.
    key: [&'static str; 4],
    /// What it is signed with.
    digest: &'static str,
    /// Where its owner calls from: every network has a line of the log of its own.
    from: &'static str,
    /// What the aggregator says.
    expect: &'static str,
}

const KINDS: [Weak; 2] = [
    Weak {
        key: ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        digest: "-sha1",
        from: "127.0.66.131",
        expect: "the certificate is signed in a way that is not accepted, such as with SHA-1",
    },
    Weak {
        key: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
        digest: "-sha256",
        from: "127.0.66.132",
        expect: "a signature is wrong, or of a key that is not accepted, such as RSA below 2048 bits",
    },
];

/// What OpenSSL says on both its outputs.
async fn openssl(dir: &Path, args: &[&str]) -> (bool, String) {
    let mut command = Command::new("openssl");
    command.args(args).current_dir(dir).stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("openssl ends").unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.success(), String::from_utf8_lossy(&said).into_owned())
}

async fn made(dir: &Path, args: &[&str]) {
    let (is_made, said) = openssl(dir, args).await;
    assert!(is_made, "{args:?}: {said}");
}

/// Signed by the real authority, whose files have been copied here.
async fn sign(dir: &Path, Weak { key, digest, .. }: &Weak) {
    made(dir, &[&["genpkey", "-out", "key"][..], key].concat()).await;
    made(dir, &["req", "-new", "-key", "key", "-subj", "/CN=weak", "-out", "csr"]).await;
    let authority = ["-CA", "intermediate.crt", "-CAkey", "intermediate.key", "-days", "1"];
    let request = ["x509", "-req", "-in", "csr", "-out", "leaf", "-extfile", "names", digest];
    made(dir, &[&request[..], &authority].concat()).await;
}

pub async fn row_13_weak_signatures_and_keys(siege: &Siege) {
    let dir = siege.cluster.dir().join("weak");
    std::fs::create_dir(&dir).unwrap();
    for file in ["intermediate.crt", "intermediate.key", "root.crt"] {
        std::fs::copy(siege.cluster.dir().join("aggregator/ca").join(file), dir.join(file)).unwrap();
    }
    std::fs::write(dir.join("names"), NAMES).unwrap();
    for weak in KINDS {
        sign(&dir, &weak).await;
        let bind = format!("{}:0", weak.from);
        let way = ["s_client", "-connect", siege.grpc(), "-bind", &bind, "-tls1_3", "-ign_eof"];
        let own = ["-cert", "leaf", "-key", "key", "-cert_chain", "intermediate.crt", "-CAfile", "root.crt"];
        let unguarded = ["-cipher", "DEFAULT@SECLEVEL=0"];
        let (_, said) = openssl(&dir, &[&way[..], &own, &unguarded].concat()).await;
        assert!(
            said.contains("Verify return code: 0 (ok)") && said.contains("SSL alert number 51"),
            "{said}"
        );
        siege.until_logged(weak.from).await;
        let log = siege.cluster.aggregator.log();
        let line = log.lines().find(|line| line.contains(weak.from)).unwrap();
        assert!(line.contains(r#""reason":"tls""#) && line.contains(weak.expect), "{line}");
    }
}
