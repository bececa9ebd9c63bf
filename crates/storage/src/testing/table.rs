//! Tables of checkpoints on the faulty disk.

use super::disk::{FaultyDisk, State};
use super::random::Random;
use crate::table::{TableChanges, TableConfig, TableError, TableRecord};
use crate::tables::{StateTable, Tables, VisitRecord};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// How many checkpoints back a loss of power may lead.
const SEALED_KEPT: usize = 4;

/// One table as it lies on the disk.
#[derive(Default)]
pub(super) struct KeptTable {
    /// The last checkpoints, oldest first.
    sealed: VecDeque<Sealed>,
    damage: Option<Damage>,
    /// Somebody of this life has it open.
    open: bool,
}

/// When damage shows.
#[derive(Clone, Copy)]
enum Damage {
    /// At once.
    Open,
    /// After so many records were read.
    Load(usize),
}

#[derive(Clone, Default)]
struct Sealed {
    seal: Vec<u8>,
    records: Arc<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl KeptTable {
    /// Who had it open is gone.
    pub(super) fn release(&mut self) {
        self.open = false;
    }

    /// Half the time nothing happens; else it is at an earlier seal, or damaged.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        self.open = false;
        if self.damage.is_some() || self.sealed.is_empty() {
            return;
        }
        match random.below(8) {
            0..4 => {}
            4..7 => {
                let kept = random.below(self.sealed.len() as u64 + 1) as usize;
                self.sealed.truncate(kept);
            }
            _ if random.coin() => self.damage = Some(Damage::Open),
            _ => {
                let records = self.sealed.back().map_or(0, |sealed| sealed.records.len());
                self.damage = Some(Damage::Load(random.below(records as u64 + 1) as usize));
            }
        }
    }
}

/// An open table.
struct FaultyTable {
    disk: FaultyDisk,
    dir: PathBuf,
}

impl FaultyTable {
    fn io_error(&self, source: io::Error) -> TableError {
        TableError::Io {
            path: self.dir.clone(),
            source,
        }
    }

    fn damaged(&self, reason: &str) -> TableError {
        TableError::Damaged {
            path: self.dir.clone(),
            reason: reason.to_owned(),
        }
    }

    /// The newest checkpoint, changed and sealed, takes its place in front of it.
    fn add(&self, seal: &[u8], change: impl Fn(&mut BTreeMap<Vec<u8>, Vec<u8>>)) -> Result<(), TableError> {
        let added = self.disk.change_at_once(|state| {
            state.note_sync()?;
            let Some(table) = state.tables.get_mut(&self.dir) else {
                return Err(io::ErrorKind::NotFound.into());
            };
            let mut next = table.sealed.back().cloned().unwrap_or_default();
            next.seal = seal.to_vec();
            change(Arc::make_mut(&mut next.records));
            table.sealed.push_back(next);
            if table.sealed.len() > SEALED_KEPT {
                table.sealed.pop_front();
            }
            Ok(())
        });
        added.map_err(|source| self.io_error(source))
    }
}

impl StateTable for FaultyTable {
    fn load(&self, visit: &mut VisitRecord<'_>) -> Result<Option<Vec<u8>>, TableError> {
        let (newest, damage) = {
            let state = self.disk.live().map_err(|source| self.io_error(source))?;
            let table = state.tables.get(&self.dir);
            (
                table.and_then(|table| table.sealed.back().cloned()),
                table.and_then(|table| table.damage),
            )
        };
        let Some(newest) = newest else { return Ok(None) };
        for (number, (key, value)) in newest.records.iter().enumerate() {
            if matches!(damage, Some(Damage::Load(at)) if at == number) {
                return Err(self.damaged("a record's checksum is wrong"));
            }
            visit(key, value.clone()).map_err(|reason| self.damaged(&reason))?;
        }
        match damage {
            Some(_) => Err(self.damaged("the last record is not whole")),
            None => Ok(Some(newest.seal)),
        }
    }

    fn checkpoint(&mut self, changes: &TableChanges, seal: &[u8]) -> Result<(), TableError> {
        self.add(seal, |records| {
            records.extend(changes.put.iter().cloned());
            changes.remove.iter().for_each(|key| drop(records.remove(key)));
        })
    }

    fn replace(&mut self, records: &mut dyn Iterator<Item = TableRecord>, seal: &[u8]) -> Result<(), TableError> {
        let all: BTreeMap<_, _> = records.collect();
        self.add(seal, |records| records.clone_from(&all))
    }

    fn disk_bytes(&self) -> u64 {
        let Ok(state) = self.disk.live() else { return 0 };
        let newest = state.tables.get(&self.dir).and_then(|table| table.sealed.back());
        newest.map_or(0, |sealed| {
            let bytes = sealed.records.iter().map(|(key, value)| key.len() + value.len());
            bytes.sum::<usize>() as u64
        })
    }
}

impl Drop for FaultyTable {
    fn drop(&mut self) {
        if let Ok(mut state) = self.disk.live()
            && let Some(table) = state.tables.get_mut(&self.dir)
        {
            table.open = false;
        }
    }
}

impl FaultyDisk {
    /// Opens the table in `config.dir` once `prepare` has changed it.
    fn open_table(
        &self,
        config: &TableConfig,
        prepare: impl Fn(&mut KeptTable),
    ) -> Result<Box<dyn StateTable>, TableError> {
        let path = config.dir.clone();
        let opened = self.change_at_once(|state: &mut State| {
            let table = state.tables.entry(path.clone()).or_default();
            if table.open {
                return Ok(Err(TableError::InUse { path: path.clone() }));
            }
            prepare(table);
            if let Some(Damage::Open) = table.damage {
                let reason = "the seal's checksum is wrong".to_owned();
                return Ok(Err(TableError::Damaged {
                    path: path.clone(),
                    reason,
                }));
            }
            table.open = true;
            Ok(Ok(()))
        });
        match opened {
            Ok(opened) => opened?,
            Err(source) => return Err(TableError::Io { path, source }),
        }
        Ok(Box::new(FaultyTable {
            disk: self.clone(),
            dir: path,
        }))
    }
}

impl Tables for FaultyDisk {
    fn open(&self, config: &TableConfig) -> Result<Box<dyn StateTable>, TableError> {
        self.open_table(config, |_| {})
    }

    fn start_over(&self, config: &TableConfig) -> Result<Box<dyn StateTable>, TableError> {
        self.open_table(config, |table| *table = KeptTable::default())
    }
}
