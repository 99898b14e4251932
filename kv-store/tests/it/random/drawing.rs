//! Draws commands and queries. Names, keys and revisions are few, so that they meet.

use kv_store::command::{
    Access, AuthChange, AuthQuery, Collection, Combination, Command, Compare, Direction, Edit,
    Existing, Filter, Item, KEY_BYTES_MAX, KeyRange, Kind, List, Name, OnNo, Operation, Order,
    OrderBy, Permission, PutOptions, Query, RangeEnd, Relation, Selection, Show, Target,
    Transaction,
};

use crate::node::Numbers;

/// One key in so many is as long as a key may be.
const LONG_KEY_EVERY: usize = 5_000;

/// The bytes that an operation is drawn from.
pub(super) struct Pool {
    keys: [Vec<u8>; 4],
    values: [Vec<u8>; 3],
    names: [&'static [u8]; 3],
}

impl Pool {
    pub(super) fn draw(numbers: &mut Numbers) -> Self {
        let keys = [(); 4].map(|()| match numbers.below(LONG_KEY_EVERY) {
            0 => vec![0xff; KEY_BYTES_MAX - numbers.below(2)],
            _ => numbers.key(),
        });
        let values = [numbers.value(), numbers.value(), {
            let spelled: [&[u8]; 5] = [b"7", b"-3", b"007", b"41", b""];
            spelled[numbers.below(spelled.len())].to_vec()
        }];
        let all: [&[u8]; 5] = [b"", b"f", b"g", b"g\0", b"a-name-of-more-than-eighteen-bytes"];
        Self { keys, values, names: [(); 3].map(|()| all[numbers.below(all.len())]) }
    }
}

/// What operations are drawn by, and what is there.
pub(super) struct Drawing<'n> {
    pub(super) numbers: &'n mut Numbers,
    pub(super) newest: u64,
    /// The compaction revision.
    pub(super) oldest: u64,
    pub(super) leases: Vec<u64>,
}

impl Drawing<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.numbers.below(bound)
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn is_heads(&mut self) -> bool {
        self.below(2) == 0
    }

    fn key<'p>(&mut self, pool: &'p Pool) -> &'p [u8] {
        &pool.keys[self.below(pool.keys.len())]
    }

    fn value<'p>(&mut self, pool: &'p Pool) -> &'p [u8] {
        &pool.values[self.below(pool.values.len())]
    }

    fn names<'p>(&mut self, pool: &'p Pool) -> &'p [&'static [u8]] {
        &pool.names[..self.below(pool.names.len() + 1)]
    }

    fn name_list<'p>(&mut self, pool: &'p Pool) -> List<Name<'p>> {
        self.names(pool).iter().map(|name| Name(name)).collect()
    }

    fn field<'p>(&mut self, pool: &'p Pool) -> Option<Name<'p>> {
        self.names(pool).first().map(|name| Name(name))
    }

    fn key_list<'p>(&mut self, pool: &'p Pool) -> List<Name<'p>> {
        (0..self.below(4)).map(|_| Name(self.key(pool))).collect()
    }

    fn combination(&mut self) -> Combination {
        self.one_of(&[Combination::Intersection, Combination::Union, Combination::Difference])
    }

    /// Numbers are few and short, so that the model can add them.
    fn edit<'p>(&mut self, pool: &'p Pool) -> Edit<'p> {
        match self.below(8) {
            0..=2 => Edit::Append(self.value(pool)),
            3..=5 => Edit::Overwrite { at: self.up_to(9), bytes: self.value(pool) },
            _ => Edit::AddDecimal(self.one_of::<&[u8]>(&[b"1", b"-0.5", b".25", b"1e2", b"-"])),
        }
    }

    /// A question of its own, or several at once.
    pub(super) fn question<'p>(&mut self, pool: &'p Pool) -> Query<'p> {
        match self.below(8) {
            0 => Query::Transaction(Box::new(self.transaction(pool, 2))),
            1 if self.is_heads() => Query::Auth { query: self.auth_query() },
            _ => self.query(pool),
        }
    }

    fn collection(&mut self) -> Collection {
        self.one_of(&[Collection::Hash, Collection::Set])
    }

    /// A revision that mostly can be read.
    pub(super) fn revision(&mut self) -> u64 {
        let (newest, oldest) = (self.newest, self.oldest);
        match self.below(8) {
            0 => self.up_to(newest + 2),
            1 => newest,
            _ => oldest + self.up_to(newest - oldest),
        }
    }

    fn up_to(&mut self, most: u64) -> u64 {
        self.below(usize::try_from(most).expect("a count fits") + 1) as u64
    }

    /// 0, one that there is, or perhaps not.
    fn lease(&mut self) -> u64 {
        match self.below(4) {
            0 => self.up_to(6),
            1 => 0,
            _ => {
                let at = self.below(self.leases.len().max(1));
                self.leases.get(at).copied().unwrap_or(3)
            }
        }
    }

    /// Milliseconds; as long as a few steps of log time.
    fn ttl(&mut self) -> u64 {
        self.one_of(&[1, 700, 5_000, 30_000])
    }

    fn range<'p>(&mut self, pool: &'p Pool) -> KeyRange<'p> {
        let (from, to) = (self.key(pool), self.key(pool));
        let from = if self.below(40) == 0 { b"" } else { from };
        let end = match self.below(8) {
            0..=3 => RangeEnd::Single,
            4 | 5 => RangeEnd::Prefix,
            6 => RangeEnd::HalfOpen(to),
            _ => RangeEnd::From,
        };
        KeyRange { from, end }
    }

    /// One or two ranges that seldom hold everything.
    fn ranges<'p>(&mut self, pool: &'p Pool) -> List<KeyRange<'p>> {
        let end = RangeEnd::HalfOpen(self.key(pool));
        let all = [self.range(pool), KeyRange { from: self.key(pool), end }];
        all[..=self.below(2)].iter().copied().collect()
    }

    pub(super) fn command<'p>(&mut self, pool: &'p Pool) -> Command<'p> {
        match self.below(60) {
            0 if self.below(3) == 0 => Command::Compact { revision: self.revision() },
            0..=3 => Command::GrantLease { id: self.up_to(6), ttl_ms: self.ttl() },
            4 => Command::RevokeLease { id: self.lease() },
            5 | 6 => {
                Command::RenewLeases { ids: [self.lease(), self.lease()].into_iter().collect() }
            }
            7 => Command::RemoveEnded,
            16 | 17 => Command::Auth { change: self.auth_change(pool) },
            8..=15 => {
                let all = [OnNo::Undo, OnNo::GoOn, OnNo::UndoDecidedFirst];
                let on_no = all[self.below(3)];
                let transaction = Box::new(self.transaction(pool, 3));
                Command::Transaction { on_no, transaction }
            }
            _ => self.change(pool),
        }
    }

    /// A user or a role.
    fn who(&mut self) -> &'static str {
        self.one_of(&["ada", "bob", "root"])
    }

    fn auth_change<'p>(&mut self, pool: &'p Pool) -> AuthChange<'p> {
        let (name, role, key) = (self.who(), self.who(), self.key(pool));
        let range_end = if self.is_heads() { b"" } else { self.key(pool) };
        let password = self.value(pool);
        match self.below(12) {
            0 | 1 => {
                AuthChange::AddUser { name, password: Some(password).filter(|_| self.is_heads()) }
            }
            2 => AuthChange::DeleteUser { name },
            3 => AuthChange::SetPassword { name, password },
            4 | 5 => AuthChange::GrantRole { user: name, role },
            6 => AuthChange::RevokeRole { user: name, role },
            7 => AuthChange::AddRole { name },
            8 => AuthChange::DeleteRole { name },
            9 | 10 => {
                let access = self.one_of(&[Access::Read, Access::Write, Access::ReadWrite]);
                let permission = Permission { access, key, range_end };
                AuthChange::GrantPermission { role, permission }
            }
            _ => AuthChange::RevokePermission { role, key, range_end },
        }
    }

    fn auth_query(&mut self) -> AuthQuery<'static> {
        match self.below(5) {
            0 => AuthQuery::Status,
            1 => AuthQuery::Users,
            2 => AuthQuery::Roles,
            3 => AuthQuery::RolesOf { user: self.who() },
            _ => AuthQuery::PermissionsOf { role: self.who() },
        }
    }

    /// A command that can be part of a transaction.
    fn change<'p>(&mut self, pool: &'p Pool) -> Command<'p> {
        let key = self.key(pool);
        match self.below(48) {
            40 | 41 => Command::Edit { key, field: self.field(pool), edit: self.edit(pool) },
            42 | 43 => Command::Rename { from: key, to: self.key(pool) },
            44 | 45 => Command::Take { key, count: self.up_to(3) },
            46 | 47 => {
                let (how, keys) = (self.combination(), self.key_list(pool));
                Command::StoreCombined { to: key, how, keys }
            }
            0..=12 => Command::Put { key, value: self.value(pool) },
            13..=16 => {
                let options = PutOptions {
                    returns_previous: self.is_heads(),
                    lease: self.lease(),
                    ttl_ms: if self.is_heads() { 0 } else { self.ttl() },
                    keeps_end: self.below(4) == 0,
                    existing: match self.below(6) {
                        0 => Existing::Required,
                        1 => Existing::KeepsValue,
                        _ => Existing::Any,
                    },
                };
                Command::PutWith { key, value: self.value(pool), options }
            }
            17..=19 => Command::Delete { ranges: [KeyRange::single(key)].into_iter().collect() },
            20 => Command::Delete { ranges: self.ranges(pool) },
            21 | 22 => Command::DeleteReturning { ranges: self.ranges(pool) },
            23..=26 => {
                let value = self.value(pool);
                let fields = self.names(pool).iter().map(|name| Item { name, value }).collect();
                Command::SetFields { key, fields }
            }
            27..=30 => Command::AddMembers { key, members: self.name_list(pool) },
            31..=33 => {
                Command::RemoveItems { of: self.collection(), key, names: self.name_list(pool) }
            }
            34..=36 => {
                let by = self.one_of(&[1, -7, i64::MAX, i64::MIN]);
                Command::Increment { key, field: self.field(pool), by }
            }
            _ => {
                let ttl_ms = if self.below(4) == 0 { 0 } else { self.ttl() };
                Command::Expire { key, field: self.field(pool), ttl_ms }
            }
        }
    }

    fn transaction<'p>(&mut self, pool: &'p Pool, nesting: usize) -> Transaction<'p> {
        let mut some = |_| (0..self.below(5)).map(|_| self.operation(pool, nesting)).collect();
        let [then, otherwise] = [(); 2].map(&mut some);
        let when = (0..self.below(3)).map(|_| self.compare(pool)).collect();
        Transaction { when, then, otherwise }
    }

    fn operation<'p>(&mut self, pool: &'p Pool, nesting: usize) -> Operation<'p> {
        match self.below(24) {
            0..=4 => Operation::Read(self.query(pool)),
            5..=8 if 0 < nesting => {
                Operation::Nested(Box::new(self.transaction(pool, nesting - 1)))
            }
            // No door lets it through, but `apply` has an answer to it.
            9 if self.below(9) == 0 => Operation::Write(Command::RemoveEnded),
            _ => Operation::Write(self.change(pool)),
        }
    }

    fn compare<'p>(&mut self, pool: &'p Pool) -> Compare<'p> {
        let relation =
            self.one_of(&[Relation::Equal, Relation::NotEqual, Relation::Less, Relation::Greater]);
        let target = match self.below(10) {
            8 => Target::Kind(self.one_of(&[Kind::String, Kind::Hash, Kind::Set])),
            9 => Target::Stays(self.ttl()),
            0 => Target::Value(self.value(pool)),
            1 => Target::Version(self.up_to(3)),
            2 => Target::CreateRevision(self.revision()),
            3 => Target::ModRevision(self.revision()),
            4 => Target::Lease(self.lease()),
            5 => Target::Exists(self.is_heads()),
            6 => Target::Field { name: pool.names[0], value: self.value(pool) },
            _ => Target::Has { of: self.collection(), name: pool.names[0], has: self.is_heads() },
        };
        Compare { range: self.range(pool), relation, target }
    }

    pub(super) fn query<'p>(&mut self, pool: &'p Pool) -> Query<'p> {
        let (key, range, limit) = (self.key(pool), self.range(pool), self.up_to(3));
        let of = self.collection();
        let revision = if self.is_heads() { 0 } else { self.revision() };
        match self.below(20) {
            16 => Query::Keys { range, limit },
            17 => Query::AnyKey { seed: self.up_to(9) },
            18 => {
                let (count, repeats) = (self.up_to(4), self.is_heads());
                Query::Sample { of, key, count, repeats, seed: self.up_to(9) }
            }
            19 => Query::Combined { how: self.combination(), keys: self.key_list(pool) },
            0..=2 => Query::Range { range, limit },
            3 => Query::History { key, since: self.revision(), limit },
            4 => Query::History { key, since: 0, limit },
            5 => Query::Fields { key, names: self.name_list(pool), revision },
            6 => Query::Has { of, key, names: self.name_list(pool), revision },
            7 | 8 => Query::Items { of, key, from: pool.names[0], limit, revision },
            9 => Query::Length { of, key, revision },
            10 => Query::Lease { id: self.lease(), from: if self.is_heads() { b"" } else { key } },
            11 => Query::Leases { from: self.up_to(6) },
            12 => Query::Remaining { key, field: self.field(pool) },
            _ => Query::Select(self.selection(range, limit)),
        }
    }

    fn selection<'p>(&mut self, range: KeyRange<'p>, limit: u64) -> Selection<'p> {
        let revision = self.revision();
        let mut bound = || if self.below(4) == 0 { self.revision() } else { 0 };
        let filter = Filter {
            mod_revision_min: bound(),
            mod_revision_max: bound(),
            create_revision_min: bound(),
            create_revision_max: bound(),
        };
        let by = self.one_of(&[
            OrderBy::Key,
            OrderBy::Version,
            OrderBy::CreateRevision,
            OrderBy::ModRevision,
            OrderBy::Value,
        ]);
        let direction = self.one_of(&[Direction::Ascending, Direction::Descending]);
        let show = self.one_of(&[Show::Pairs, Show::Pairs, Show::Keys, Show::Count]);
        Selection { range, revision, limit, order: Order { by, direction }, filter, show }
    }
}
