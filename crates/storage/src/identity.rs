//! Whose data folder it is.
//!
//! A file `identity` beside the log names the member and a random marker of this folder. A member that comes up with the
//! memory of another one, or with its memory gone but its name kept, could vote twice in one term; so both refuse to start.

use crate::disk::Disk;
use std::io;
use std::path::Path;

const FILE: &str = "identity";
const DRAFT: &str = "identity.draft";
const MAGIC: &[u8; 8] = b"MUSTERID";
const VERSION: u8 = 1;
/// Magic, version, member, marker, flags, crc.
const LENGTH: usize = 8 + 1 + 8 + 8 + 1 + 4;
const REJOINING: u8 = 1;

/// What the file says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    pub member: u64,
    /// Random, made with the folder.
    pub marker: u64,
    /// The folder was empty although the group knows the member: it has forgotten what it promised and takes part only
    /// after the leader has removed and added it again.
    pub rejoining: bool,
}

/// Why a folder has no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(
        "the data folder belongs to member {found}, not to member {asked}: start with --id {found} or another data folder"
    )]
    OtherMember { found: u64, asked: u64 },
    #[error(
        "the data folder holds the identity of member {member} but not its log: what it promised the cluster is lost; \
         restore the log, or empty the folder so that the member rejoins as an empty one"
    )]
    LogMissing { member: u64 },
    #[error(
        "the data folder holds a log but not the file {FILE} that says whose it is; restore the file or empty the folder"
    )]
    IdentityMissing,
    #[error("the file {FILE} in the data folder is damaged; restore it, or empty the folder")]
    Damaged,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Identity {
    /// The identity in `folder`, if there is one.
    ///
    /// # Errors
    /// [`IdentityError::Damaged`] or the disk's.
    pub fn load(disk: &dyn Disk, folder: &Path) -> Result<Option<Self>, IdentityError> {
        if !disk.list(folder)?.iter().any(|name| name == FILE) {
            return Ok(None);
        }
        let file = disk.open(&folder.join(FILE))?;
        let mut bytes = [0; LENGTH];
        match file.read_at(0, &mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(IdentityError::Damaged),
            other => other?,
        }
        let (body, crc) = bytes.split_at(LENGTH - 4);
        if &body[..8] != MAGIC || body[8] != VERSION || crc != crc32fast::hash(body).to_le_bytes() {
            return Err(IdentityError::Damaged);
        }
        let number = |from: usize| u64::from_le_bytes(body[from..from + 8].try_into().expect("eight bytes"));
        Ok(Some(Self {
            member: number(9),
            marker: number(17),
            rejoining: body[25] & REJOINING != 0,
        }))
    }

    /// Writes this identity to `folder`, whole or not at all.
    ///
    /// # Errors
    /// The disk's.
    pub fn store(&self, disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.member.to_le_bytes());
        bytes.extend_from_slice(&self.marker.to_le_bytes());
        bytes.push(if self.rejoining { REJOINING } else { 0 });
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        if disk.list(folder)?.iter().any(|name| name == DRAFT) {
            disk.remove(&folder.join(DRAFT))?;
        }
        let file = disk.create(&folder.join(DRAFT))?;
        file.write_at(0, &bytes)?;
        file.sync()?;
        disk.rename(&folder.join(DRAFT), &folder.join(FILE))?;
        disk.sync_folder(folder)
    }

    /// Holds what is in the folder against who starts. `log_exists`: there is a log; `log_is_pristine`: nothing was ever
    /// promised in it. Answers the identity, new or found; a new one is stored.
    ///
    /// The log is made before the identity, so a crash between the two leaves a pristine log alone.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn claim(
        disk: &dyn Disk,
        folder: &Path,
        member: u64,
        found: Option<Self>,
        log_is_pristine: bool,
    ) -> Result<Self, IdentityError> {
        match found {
            Some(found) if found.member != member => Err(IdentityError::OtherMember {
                found: found.member,
                asked: member,
            }),
            Some(found) => Ok(found),
            None if !log_is_pristine => Err(IdentityError::IdentityMissing),
            None => {
                let new = Self {
                    member,
                    marker: crate::log::random_id(),
                    rejoining: false,
                };
                new.store(disk, folder)?;
                Ok(new)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FaultyDisk;

    fn folder() -> (FaultyDisk, &'static Path) {
        (FaultyDisk::new(1), Path::new("/data"))
    }

    #[test]
    fn a_claimed_folder_is_the_members_own_afterwards() {
        let (disk, folder) = folder();
        let claimed = Identity::claim(&disk, folder, 7, None, true).unwrap();
        assert_eq!(Identity::load(&disk, folder).unwrap(), Some(claimed));
        let again = Identity::claim(&disk, folder, 7, Some(claimed), false).unwrap();
        assert_eq!(again, claimed);
    }

    #[test]
    fn a_folder_of_another_member_is_refused() {
        let (disk, folder) = folder();
        let found = Identity::claim(&disk, folder, 7, None, true).unwrap();
        let refused = Identity::claim(&disk, folder, 8, Some(found), false).unwrap_err();
        assert!(refused.to_string().contains("belongs to member 7"));
    }

    #[test]
    fn a_log_without_an_identity_is_refused() {
        let (disk, folder) = folder();
        assert!(matches!(
            Identity::claim(&disk, folder, 7, None, false),
            Err(IdentityError::IdentityMissing)
        ));
    }

    #[test]
    fn a_damaged_identity_is_refused_whatever_byte_is_wrong() {
        let (disk, folder) = folder();
        Identity::claim(&disk, folder, 7, None, true).unwrap();
        for at in 0..LENGTH {
            disk.flip(&folder.join(FILE), at, 1);
            assert!(
                matches!(Identity::load(&disk, folder), Err(IdentityError::Damaged)),
                "byte {at}"
            );
            disk.flip(&folder.join(FILE), at, 1);
        }
    }

    #[test]
    fn an_identity_survives_power_loss_once_claimed() {
        let (disk, folder) = folder();
        let claimed = Identity::claim(&disk, folder, 7, None, true).unwrap();
        disk.lose_power();
        assert_eq!(Identity::load(&disk, folder).unwrap(), Some(claimed));
    }
}
