mod checkpoints;
mod fixture;
mod frozen_bytes;
mod model;
mod on_disk;
mod rules;
mod writes;
