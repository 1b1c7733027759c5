//! The cloud side of Skerry
