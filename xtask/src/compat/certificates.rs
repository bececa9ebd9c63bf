//! An authority, a certificate for the nodes and one for clients, made anew for each run.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

pub(super) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes them with openssl: all for a day, for the addresses that nodes listen on.
    pub(super) fn make(folder: &Path, listen: Ipv4Addr) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).context("cannot clear the last run's certificates")?;
        }
        fs::create_dir_all(folder).context("cannot make the folder for certificates")?;
        let made = Self {
            folder: folder.to_owned(),
        };
        for authority in ["ca", "other-ca"] {
            made.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=compat-{authority} \
                 -keyout {authority}.key -out {authority}.pem"
            ))?;
        }
        made.sign(
            "server",
            &format!("IP:{listen},IP:127.0.0.1,DNS:localhost"),
            "serverAuth",
        )?;
        made.sign("client", "DNS:client", "clientAuth")?;
        Ok(made)
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn sign(&self, name: &str, names: &str, usage: &str) -> Result<()> {
        let extensions = format!("subjectAltName={names}\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n");
        fs::write(self.folder.join(format!("{name}.ext")), extensions).context("cannot write an extension file")?;
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=compat-{name} -keyout {name}.key -out {name}.csr"
        ))?;
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile {name}.ext -out {name}.pem"
        ))
    }

    fn openssl(&self, words: &str) -> Result<()> {
        let output = Command::new("openssl")
            .args(words.split_whitespace())
            .current_dir(&self.folder)
            .output()
            .context("cannot run openssl")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "openssl {words}: {}", said.trim());
        Ok(())
    }
}
