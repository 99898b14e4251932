//! Taking back what came into being and is not to stay.

use super::Keyspace;
use super::live::live_bytes;
use super::version::Tenure;

impl Keyspace {
    /// Takes everything back that `revision`, the newest one, has changed: the keyspace is then
    /// as it was before the first of these changes.
    ///
    /// A record has one version for a revision, however often the revision changed it, so that
    /// what stands before that version is what the record was before the revision; and it has
    /// one place in the row of changes, from which it is taken in the opposite order. Nothing is
    /// forgotten while a revision comes into being, so that the version before is still there. A
    /// record without one was made by the revision and goes, items before the key that they
    /// belong to, since they came after it. What remains is memory that the tables hold for
    /// later; where records lie in them shows nowhere.
    pub(crate) fn unwind(&mut self, revision: u64) {
        while let Some(change) = self.changes.last().filter(|last| last.revision == revision) {
            let (record, heap) = self.get_record_mut(change.place);
            let after = record.newest.read(heap).tenure();
            let live_after = live_bytes(record);
            let cost_bytes = record.take_back(heap);
            let live_before = cost_bytes.map_or(0, |_| live_bytes(record));
            let before =
                cost_bytes.map_or(Tenure::default(), |_| record.newest.read(heap).tenure());
            self.live_bytes = self.live_bytes - live_after + live_before;
            self.ends.remove(change.place, after);
            self.ends.add(change.place, before);
            self.changes.pop(cost_bytes.unwrap_or(0));
            if cost_bytes.is_none() {
                self.remove_record(change.place);
            }
        }
    }
}
