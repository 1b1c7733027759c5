//! What an edge says it holds, until it is complete.

use wire::{Inventory, InventoryItem, Version};

use super::Broken;

/// Most objects taken in an inventory.
const MAX_INVENTORY: usize = 100_000;
/// Most bytes of what an inventory says of them.
const MAX_INVENTORY_BYTES: usize = 16 << 20;
/// Longest kind or UID in an inventory, in bytes.
const MAX_TEXT: usize = 253;

/// An inventory that is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Comparing {
    /// The digests of so many buckets come before it.
    pub(super) buckets: Option<u32>,
    pub(super) items: Vec<(InventoryItem, Version)>,
    bytes: usize,
}

impl Comparing {
    /// Waits for the digests of so many buckets first, or for objects at once.
    pub(super) fn begin(buckets: Option<u32>) -> Self {
        Self { buckets, ..Self::default() }
    }

    /// Takes a part. Each item is judged as it comes, so that no more is kept than the limits say.
    pub(super) fn take(&mut self, part: Inventory) -> Result<(), Broken> {
        if self.items.len() + part.count() > MAX_INVENTORY {
            return Err(Broken(format!("an inventory of more than {MAX_INVENTORY} objects")));
        }
        if part.groups.iter().any(|group| group.kind.len() > MAX_TEXT) {
            return Err(too_long());
        }
        for item in part.unpack().map_err(|uneven| Broken(uneven.to_string()))? {
            if item.kind.len() > MAX_TEXT || item.uid.len() > MAX_TEXT {
                return Err(too_long());
            }
            let Some(version) = Version::from_slice(&item.version) else {
                return Err(Broken(format!("{} {} in the inventory has no version", item.kind, item.uid)));
            };
            self.bytes += item.kind.len() + item.uid.len() + item.version.len();
            if self.bytes > MAX_INVENTORY_BYTES {
                return Err(Broken(format!("an inventory of more than {MAX_INVENTORY_BYTES} bytes")));
            }
            self.items.push((item, version));
        }
        Ok(())
    }
}

fn too_long() -> Broken {
    Broken(format!("a kind or UID of more than {MAX_TEXT} bytes in the inventory"))
}
