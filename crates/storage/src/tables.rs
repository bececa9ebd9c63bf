//! What the checkpoint of the state asks of who keeps it, as traits, so that tests can take it back and damage it.

use crate::table::{Table, TableChanges, TableConfig, TableError, TableRecord};

/// Takes a record's key and value, or says why not.
pub type VisitRecord<'a> = dyn FnMut(&[u8], Vec<u8>) -> Result<(), String> + 'a;

/// An open table. All calls block on the disk: not for async threads.
pub trait StateTable: Send + 'static {
    /// See [`Table::load`].
    ///
    /// # Errors
    /// [`TableError`].
    fn load(&self, visit: &mut VisitRecord<'_>) -> Result<Option<Vec<u8>>, TableError>;

    /// See [`Table::checkpoint`].
    ///
    /// # Errors
    /// [`TableError`].
    fn checkpoint(&mut self, changes: &TableChanges, seal: &[u8]) -> Result<(), TableError>;

    /// See [`Table::replace`].
    ///
    /// # Errors
    /// [`TableError`].
    fn replace(&mut self, records: &mut dyn Iterator<Item = TableRecord>, seal: &[u8]) -> Result<(), TableError>;

    /// Bytes that the table takes on disk, for the metrics.
    fn disk_bytes(&self) -> u64;
}

/// Where tables are kept: sled on the machine's disk, or [`crate::testing::FaultyDisk`].
pub trait Tables: Send + std::marker::Sync + 'static {
    /// See [`Table::open`].
    ///
    /// # Errors
    /// [`TableError`].
    fn open(&self, config: &TableConfig) -> Result<Box<dyn StateTable>, TableError>;

    /// See [`Table::start_over`].
    ///
    /// # Errors
    /// [`TableError`].
    fn start_over(&self, config: &TableConfig) -> Result<Box<dyn StateTable>, TableError>;
}

/// Tables in sled.
#[derive(Clone, Copy, Debug, Default)]
pub struct SledTables;

impl Tables for SledTables {
    fn open(&self, config: &TableConfig) -> Result<Box<dyn StateTable>, TableError> {
        Ok(Box::new(Table::open(config)?))
    }

    fn start_over(&self, config: &TableConfig) -> Result<Box<dyn StateTable>, TableError> {
        Ok(Box::new(Table::start_over(config)?))
    }
}

impl StateTable for Table {
    fn load(&self, visit: &mut VisitRecord<'_>) -> Result<Option<Vec<u8>>, TableError> {
        self.load(visit)
    }

    fn checkpoint(&mut self, changes: &TableChanges, seal: &[u8]) -> Result<(), TableError> {
        self.checkpoint(changes, seal)
    }

    fn replace(&mut self, records: &mut dyn Iterator<Item = TableRecord>, seal: &[u8]) -> Result<(), TableError> {
        self.replace(records, seal)
    }

    fn disk_bytes(&self) -> u64 {
        self.disk_bytes()
    }
}
