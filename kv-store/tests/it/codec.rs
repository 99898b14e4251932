//! Messages as bytes: what was written once is read for ever, and nothing read can do harm.

use bytes::BytesMut;
use kv_store::command::{
    Access, Answer, Attributes, AuthChange, AuthQuery, Collection, Combination, Command, Compare,
    DecodeError, Direction, Edit, Existing, Item, KeyRange, KeyValue, Kind, List, Name, No, OnNo,
    Operation, Order, OrderBy, Permission, PutOptions, Query, RangeEnd, Relation, RestorePlan,
    RestoreStep, Selection, TRANSACTION_NESTING_MAX, Target, Transacted, Transaction,
};

use crate::node::Numbers;

fn half_open<'a>(from: &'a [u8], to: &'a [u8]) -> KeyRange<'a> {
    KeyRange { from, end: RangeEnd::HalfOpen(to) }
}

fn all_of(from: &[u8]) -> KeyRange<'_> {
    KeyRange { from, end: RangeEnd::From }
}

fn golden_commands_about_keys() -> Vec<(Command<'static>, &'static str)> {
    let delete =
        |ranges: &[KeyRange<'static>]| Command::Delete { ranges: ranges.iter().copied().collect() };
    vec![
        (Command::Put { key: b"k", value: b"v" }, "81 a170 92 c4016b c40176"),
        (Command::Put { key: b"\x00\xff", value: b"" }, "81 a170 92 c40200ff c400"),
        (delete(&[]), "81 a164 91 90"),
        (delete(&[KeyRange::single(b"k")]), "81 a164 91 91 92 c4016b a173"),
        (
            delete(&[KeyRange::prefix(b"k"), half_open(b"a", b"b"), all_of(b"")]),
            "81 a164 91 93 92 c4016b a170 92 c40161 81 a168 c40162 92 c400 a166",
        ),
        (
            Command::PutWith {
                key: b"k",
                value: b"v",
                options: PutOptions {
                    returns_previous: true,
                    lease: 7,
                    ttl_ms: 300,
                    keeps_end: true,
                    existing: Existing::Any,
                },
            },
            "81 a150 93 c4016b c40176 94 c3 07 cd012c c3",
        ),
        (
            Command::PutWith {
                key: b"k",
                value: b"",
                options: PutOptions { existing: Existing::KeepsValue, ..PutOptions::default() },
            },
            "81 a150 93 c4016b c400 95 c2 00 00 c2 a176",
        ),
        (
            Command::DeleteReturning { ranges: [KeyRange::single(b"k")].into_iter().collect() },
            "81 a144 91 91 92 c4016b a173",
        ),
        (Command::Compact { revision: 300 }, "81 a163 91 cd012c"),
        (
            Command::SetFields {
                key: b"k",
                fields: [Item { name: b"f", value: b"v" }].into_iter().collect(),
            },
            "81 a168 92 c4016b 91 92 c40166 c40176",
        ),
        (
            Command::AddMembers {
                key: b"k",
                members: [Name(b"a"), Name(b"b")].into_iter().collect(),
            },
            "81 a16d 92 c4016b 92 c40161 c40162",
        ),
        (
            Command::RemoveItems {
                of: Collection::Hash,
                key: b"k",
                names: [Name(b"f")].into_iter().collect(),
            },
            "81 a172 93 a168 c4016b 91 c40166",
        ),
        (Command::Increment { key: b"k", field: None, by: -1 }, "81 a169 93 c4016b c0 ff"),
        (
            Command::Increment { key: b"k", field: Some(Name(b"f")), by: 1 },
            "81 a169 93 c4016b c40166 01",
        ),
    ]
}

fn transaction(on_no: OnNo, transaction: Transaction<'static>) -> Command<'static> {
    Command::Transaction { on_no, transaction: Box::new(transaction) }
}

fn put_if_missing() -> Transaction<'static> {
    let range = KeyRange::single(b"k");
    let (relation, target) = (Relation::Equal, Target::Version(0));
    Transaction {
        when: [Compare { range, relation, target }].into_iter().collect(),
        then: [Operation::Write(Command::Put { key: b"k", value: b"v" })].into_iter().collect(),
        otherwise: [Operation::Read(Query::Range { range, limit: 0 })].into_iter().collect(),
    }
}

/// A transaction with every kind of compare and operation.
fn choice() -> Transaction<'static> {
    let (single, all) = (KeyRange::single(b"k"), all_of(b"k"));
    let of = |range, relation, target| Compare { range, relation, target };
    let when = [
        of(single, Relation::Equal, Target::Value(b"v")),
        of(single, Relation::NotEqual, Target::Version(1)),
        of(KeyRange::prefix(b"k"), Relation::Less, Target::CreateRevision(2)),
        of(all, Relation::Greater, Target::ModRevision(3)),
        of(single, Relation::Equal, Target::Lease(0)),
        of(single, Relation::Equal, Target::Exists(true)),
        of(single, Relation::Equal, Target::Field { name: b"f", value: b"v" }),
        of(single, Relation::Equal, Target::Has { of: Collection::Set, name: b"m", has: false }),
    ];
    let then = [
        Operation::Write(Command::Put { key: b"k", value: b"v" }),
        Operation::Read(Query::Range { range: single, limit: 0 }),
    ];
    let otherwise = [Operation::Nested(Box::default())];
    Transaction {
        when: when.into_iter().collect(),
        then: then.into_iter().collect(),
        otherwise: otherwise.into_iter().collect(),
    }
}

fn golden_commands() -> Vec<(Command<'static>, &'static str)> {
    [
        golden_commands_about_keys(),
        golden_transactions(),
        golden_commands_about_ends(),
        golden_restores(),
        golden_changes_of_auth(),
        golden_edits(),
    ]
    .concat()
}

fn golden_edits() -> Vec<(Command<'static>, &'static str)> {
    let edit = |field, edit| Command::Edit { key: b"k", field, edit };
    vec![
        (edit(None, Edit::Append(b"v")), "81 a165 93 c4016b c0 81 a161 c40176"),
        (
            edit(Some(Name(b"f")), Edit::Overwrite { at: 300, bytes: b"v" }),
            "81 a165 93 c4016b c40166 81 a16f 92 cd012c c40176",
        ),
        (edit(None, Edit::AddDecimal(b"1")), "81 a165 93 c4016b c0 81 a164 c40131"),
        (Command::Rename { from: b"k", to: b"l" }, "81 a16e 92 c4016b c4016c"),
        (Command::Take { key: b"k", count: 2 }, "81 a154 92 c4016b 02"),
        (
            Command::StoreCombined {
                to: b"k",
                how: Combination::Union,
                keys: [Name(b"a"), Name(b"b")].into_iter().collect(),
            },
            "81 a173 93 c4016b a175 92 c40161 c40162",
        ),
    ]
}

fn golden_transactions() -> Vec<(Command<'static>, &'static str)> {
    vec![
        (transaction(OnNo::Undo, Transaction::default()), "81 a174 92 a175 93 90 90 90"),
        (
            transaction(OnNo::UndoDecidedFirst, Transaction::default()),
            "81 a174 92 a165 93 90 90 90",
        ),
        (
            transaction(OnNo::Undo, put_if_missing()),
            "81 a174 92 a175 93 91 93 92 c4016b a173 a13d 81 a16e 00 91 81 a177 81 a170 92 c4016b \
             c40176 91 81 a172 81 a172 92 92 c4016b a173 00",
        ),
        (
            transaction(OnNo::GoOn, choice()),
            "81 a174 92 a167 93 \
                98 \
                93 92 c4016b a173 a13d 81 a176 c40176 \
                93 92 c4016b a173 a121 81 a16e 01 \
                93 92 c4016b a170 a13c 81 a163 02 \
                93 92 c4016b a166 a13e 81 a16d 03 \
                93 92 c4016b a173 a13d 81 a16c 00 \
                93 92 c4016b a173 a13d 81 a178 c3 \
                93 92 c4016b a173 a13d 81 a166 92 c40166 c40176 \
                93 92 c4016b a173 a13d 81 a165 93 a16d c4016d c2 \
                92 81 a177 81 a170 92 c4016b c40176 81 a172 81 a172 92 92 c4016b a173 00 \
                91 81 a174 93 90 90 90",
        ),
    ]
}

fn golden_commands_about_ends() -> Vec<(Command<'static>, &'static str)> {
    vec![
        (Command::GrantLease { id: 0, ttl_ms: 300 }, "81 a147 92 00 cd012c"),
        (Command::RevokeLease { id: 7 }, "81 a152 91 07"),
        (Command::RenewLeases { ids: [7, 8].into_iter().collect() }, "81 a14b 91 92 07 08"),
        (Command::Expire { key: b"k", field: None, ttl_ms: 0 }, "81 a178 93 c4016b c0 00"),
        (Command::RemoveEnded, "a158"),
    ]
}

fn golden_restores() -> Vec<(Command<'static>, &'static str)> {
    let plan =
        RestorePlan { id: 7, revision: 300, is_foreign: true, log_time: 1 << 32, grace_ms: 5_000 };
    let steps = [
        (RestoreStep::Begin(plan), "81 a162 95 07 cd012c c3 cf0000000100000000 cd1388"),
        (RestoreStep::Piece { id: 7, number: 0, records: b"r" }, "81 a170 93 07 00 c40172"),
        (RestoreStep::Finish { id: 7, pieces: 1 }, "81 a166 92 07 01"),
        (RestoreStep::Abandon { id: 7 }, "81 a161 91 07"),
    ];
    let golden = |(step, bytes): (RestoreStep<'static>, &str)| {
        let bytes: &'static str = format!("81 a142 91 {bytes}").leak();
        (Command::Restore { step }, bytes)
    };
    steps.map(golden).to_vec()
}

fn golden_changes_of_auth() -> Vec<(Command<'static>, &'static str)> {
    let permission = Permission { access: Access::ReadWrite, key: b"k", range_end: b"" };
    let changes = [
        (
            AuthChange::AddUser { name: "ada", password: Some(b"h") },
            "81 a141 91 81 a175 92 a3616461 c40168",
        ),
        (AuthChange::AddUser { name: "ada", password: None }, "81 a141 91 81 a175 92 a3616461 c0"),
        (AuthChange::DeleteUser { name: "ada" }, "81 a141 91 81 a155 91 a3616461"),
        (
            AuthChange::SetPassword { name: "ada", password: b"h" },
            "81 a141 91 81 a170 92 a3616461 c40168",
        ),
        (AuthChange::GrantRole { user: "ada", role: "r" }, "81 a141 91 81 a167 92 a3616461 a172"),
        (AuthChange::RevokeRole { user: "ada", role: "r" }, "81 a141 91 81 a172 92 a3616461 a172"),
        (AuthChange::AddRole { name: "r" }, "81 a141 91 81 a16f 91 a172"),
        (AuthChange::DeleteRole { name: "r" }, "81 a141 91 81 a14f 91 a172"),
        (
            AuthChange::GrantPermission { role: "r", permission },
            "81 a141 91 81 a16d 92 a172 93 a162 c4016b c400",
        ),
        (
            AuthChange::RevokePermission { role: "r", key: b"k", range_end: b"l" },
            "81 a141 91 81 a14d 93 a172 c4016b c4016c",
        ),
    ];
    changes.into_iter().map(|(change, bytes)| (Command::Auth { change }, bytes)).collect()
}

fn golden_queries() -> Vec<(Query<'static>, &'static str)> {
    vec![
        (Query::Range { range: KeyRange::single(b"k"), limit: 0 }, "81 a172 92 92 c4016b a173 00"),
        (
            Query::Range { range: half_open(b"a", b"b"), limit: 300 },
            "81 a172 92 92 c40161 81 a168 c40162 cd012c",
        ),
        (
            Query::Select(Selection {
                revision: 9,
                limit: 2,
                order: Order { by: OrderBy::ModRevision, direction: Direction::Descending },
                ..Selection::of(KeyRange::prefix(b""))
            }),
            "81 a173 96 92 c400 a170 09 02 92 a16d a164 94 00000000 a170",
        ),
        (Query::History { key: b"k", since: 0, limit: 0 }, "81 a168 93 c4016b 00 00"),
        (
            Query::Fields { key: b"k", names: [Name(b"f")].into_iter().collect(), revision: 0 },
            "81 a167 93 c4016b 91 c40166 00",
        ),
        (
            Query::Has { of: Collection::Set, key: b"k", names: List::new(), revision: 9 },
            "81 a165 94 a16d c4016b 90 09",
        ),
        (
            Query::Items { of: Collection::Hash, key: b"k", from: b"", limit: 0, revision: 0 },
            "81 a169 95 a168 c4016b c400 00 00",
        ),
        (
            Query::Length { of: Collection::Set, key: b"k", revision: 0 },
            "81 a16c 93 a16d c4016b 00",
        ),
        (Query::Lease { id: 7, from: b"k" }, "81 a14c 92 07 c4016b"),
        (Query::Leases { from: 0 }, "81 a161 91 00"),
        (Query::Hashes { from: 0 }, "81 a176 91 00"),
        (Query::Auth { query: AuthQuery::Status }, "81 a141 91 a173"),
        (
            Query::Auth { query: AuthQuery::RolesOf { user: "ada" } },
            "81 a141 91 81 a167 91 a3616461",
        ),
        (
            Query::Auth { query: AuthQuery::PermissionsOf { role: "r" } },
            "81 a141 91 81 a16d 91 a172",
        ),
        (Query::Remaining { key: b"k", field: Some(Name(b"f")) }, "81 a154 92 c4016b c40166"),
        (Query::Keys { range: KeyRange::prefix(b"k"), limit: 10 }, "81 a16b 92 92 c4016b a170 0a"),
        (Query::AnyKey { seed: 300 }, "81 a179 91 cd012c"),
        (
            Query::Sample { of: Collection::Set, key: b"k", count: 2, repeats: true, seed: 9 },
            "81 a153 95 a16d c4016b 02 c3 09",
        ),
        (Query::Combined { how: Combination::Difference, keys: List::new() }, "81 a163 92 a164 90"),
        (
            Query::Transaction(Box::new(Transaction {
                when: [Target::Kind(Kind::Set), Target::Stays(300)]
                    .map(|target| Compare {
                        range: KeyRange::single(b"k"),
                        relation: Relation::Equal,
                        target,
                    })
                    .into_iter()
                    .collect(),
                ..Transaction::default()
            })),
            "81 a174 93 92 93 92 c4016b a173 a13d 81 a16b a16d \
             93 92 c4016b a173 a13d 81 a174 cd012c 90 90",
        ),
    ]
}

fn golden_answers() -> Vec<(Answer<'static>, &'static str)> {
    let kv = KeyValue {
        key: b"k",
        value: b"v",
        create_revision: 2,
        mod_revision: 70_000,
        version: u64::MAX,
        attributes: Attributes::default(),
    };
    let attributes = Attributes { kind: Kind::Hash, lease: 0 };
    let hash = KeyValue { value: b"", mod_revision: 2, version: 1, attributes, ..kv };
    vec![
        (Answer::Put { revision: 2 }, "81 a170 91 02"),
        (Answer::Deleted { count: 3, revision: 256 }, "81 a164 92 03 cd0100"),
        (
            Answer::Range { revision: 128, kvs: List::new(), more: false, count: 0 },
            "81 a172 94 cc80 90 c2 00",
        ),
        (
            Answer::Range { revision: 9, kvs: [kv].into_iter().collect(), more: true, count: 5 },
            "81 a172 94 09 91 95 c4016b c40176 02 ce00011170 cfffffffffffffffff c3 05",
        ),
        (
            Answer::PutOver { revision: 9, previous: Some(kv) },
            "81 a150 92 09 95 c4016b c40176 02 ce00011170 cfffffffffffffffff",
        ),
        (Answer::PutOver { revision: 9, previous: None }, "81 a150 92 09 c0"),
        (
            Answer::DeletedKeys { count: 0, revision: 9, kvs: List::new(), more: false },
            "81 a144 94 00 09 90 c2",
        ),
        (Answer::Done { revision: 9 }, "81 a16b 91 09"),
        (
            Answer::PutOver { revision: 9, previous: Some(hash) },
            "81 a150 92 09 96 c4016b c400 02 02 01 92 a168 00",
        ),
        (
            Answer::No { revision: 12, why: No::Compacted { oldest: 9 } },
            "81 a16e 92 0c 81 a163 91 09",
        ),
        (
            Answer::No { revision: 12, why: No::Future { newest: 12 } },
            "81 a16e 92 0c 81 a166 91 0c",
        ),
        (Answer::Malformed { why: "why" }, "81 a16d 91 a3776879"),
    ]
}

fn golden_answers_about_ends() -> Vec<(Answer<'static>, &'static str)> {
    vec![
        (Answer::Granted { revision: 9, id: 7, ttl_ms: 300 }, "81 a147 93 09 07 cd012c"),
        (
            Answer::Renewed { revision: 9, ttls_ms: [0, 300].into_iter().collect() },
            "81 a14b 92 09 92 00 cd012c",
        ),
        (
            Answer::Lease {
                revision: 9,
                ttl_ms: 300,
                remaining_ms: 2,
                keys: [Name(b"k")].into_iter().collect(),
                more: true,
            },
            "81 a14c 95 09 cd012c 02 91 c4016b c3",
        ),
        (
            Answer::Hashes { revision: 9, newest: 8, hashes: [(7, 8)].into_iter().collect() },
            "81 a176 93 09 08 91 92 07 08",
        ),
        (
            Answer::Leases { revision: 9, ids: [7].into_iter().collect(), more: false },
            "81 a161 93 09 91 07 c2",
        ),
        (
            Answer::Remaining { revision: 9, exists: true, remaining_ms: None },
            "81 a154 93 09 c3 c0",
        ),
        (
            Answer::No { revision: 9, why: No::LeaseUnknown { id: 7 } },
            "81 a16e 92 09 81 a175 91 07",
        ),
        (Answer::No { revision: 9, why: No::LeaseExists { id: 7 } }, "81 a16e 92 09 81 a178 91 07"),
        (Answer::AuthStatus { revision: 9, auth_revision: 2 }, "81 a141 92 09 02"),
        (
            Answer::Names { revision: 9, names: [Name(b"ada")].into_iter().collect() },
            "81 a14e 92 09 91 c403616461",
        ),
        (
            Answer::Permissions {
                revision: 9,
                permissions: [Permission { access: Access::Read, key: b"k", range_end: b"" }]
                    .into_iter()
                    .collect(),
            },
            "81 a14d 92 09 91 93 a172 c4016b c400",
        ),
        (Answer::No { revision: 9, why: No::UserUnknown }, "81 a16e 92 09 a173"),
        (Answer::No { revision: 9, why: No::AuthFull { limit: 8 } }, "81 a16e 92 09 81 a146 91 08"),
        (Answer::No { revision: 9, why: No::KeyUnknown }, "81 a16e 92 09 a16b"),
        (
            Answer::No { revision: 9, why: No::RestoreUnknown { id: 7 } },
            "81 a16e 92 09 81 a172 91 07",
        ),
        (
            Answer::No { revision: 9, why: No::PieceExpected { number: 2 } },
            "81 a16e 92 09 81 a150 91 02",
        ),
    ]
}

fn golden_answers_about_items() -> Vec<(Answer<'static>, &'static str)> {
    vec![
        (Answer::Changed { count: 1, revision: 9 }, "81 a163 92 01 09"),
        (Answer::Number { number: -1, revision: 9 }, "81 a169 92 ff 09"),
        (
            Answer::Values { revision: 9, values: [Some(Name(b"v")), None].into_iter().collect() },
            "81 a167 92 09 92 c40176 c0",
        ),
        (
            Answer::Has { revision: 9, has: [true, false].into_iter().collect() },
            "81 a165 92 09 92 c3 c2",
        ),
        (
            Answer::Items {
                revision: 9,
                items: [Item { name: b"f", value: b"v" }].into_iter().collect(),
                more: true,
                count: 2,
            },
            "81 a149 94 09 91 92 c40166 c40176 c3 02",
        ),
        (Answer::Length { revision: 9, count: 2 }, "81 a16c 92 09 02"),
        (
            Answer::No { revision: 9, why: No::WrongType { found: Kind::Hash } },
            "81 a16e 92 09 81 a177 91 a168",
        ),
        (Answer::No { revision: 9, why: No::NotANumber }, "81 a16e 92 09 a161"),
        (Answer::No { revision: 9, why: No::Overflow }, "81 a16e 92 09 a176"),
        (Answer::No { revision: 9, why: No::NotInTransaction }, "81 a16e 92 09 a174"),
        (
            Answer::Transaction(Box::new(Transacted {
                succeeded: true,
                revision: 9,
                answers: [
                    Answer::Put { revision: 9 },
                    Answer::Transaction(Box::new(Transacted {
                        succeeded: false,
                        revision: 9,
                        answers: List::new(),
                    })),
                ]
                .into_iter()
                .collect(),
            })),
            "81 a174 93 c3 09 92 81 a170 91 09 81 a174 93 c2 09 90",
        ),
        (
            Answer::Undone { revision: 9, path: [2, 0].into_iter().collect(), why: No::Overflow },
            "81 a175 93 09 92 02 00 a176",
        ),
        (Answer::No { revision: 9, why: No::TooLong { limit: 7 } }, "81 a16e 92 09 81 a16c 91 07"),
    ]
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits"))
        .collect()
}

/// Every golden message as bytes.
fn all_golden_answers() -> impl Iterator<Item = (Answer<'static>, &'static str)> {
    golden_answers()
        .into_iter()
        .chain(golden_answers_about_ends())
        .chain(golden_answers_about_items())
}

fn golden_bytes() -> Vec<Vec<u8>> {
    let commands = golden_commands().into_iter();
    let commands = commands.map(|(_, hex)| from_hex(hex));
    let queries = golden_queries().into_iter().map(|(_, hex)| from_hex(hex));
    let answers = all_golden_answers().map(|(_, hex)| from_hex(hex));
    commands.chain(queries).chain(answers).collect()
}

#[test]
fn bytes_of_version_1_are_written_and_read() {
    for (command, hex) in golden_commands() {
        let mut bytes = BytesMut::new();
        command.encode(&mut bytes);
        assert_eq!(bytes, from_hex(hex), "{command:?}");
        assert_eq!(Command::decode(&bytes), Ok(command));
    }
    for (query, hex) in golden_queries() {
        let mut bytes = BytesMut::new();
        query.encode(&mut bytes);
        assert_eq!(bytes, from_hex(hex), "{query:?}");
        assert_eq!(Query::decode(&bytes), Ok(query));
    }
    for (answer, hex) in all_golden_answers() {
        let mut bytes = BytesMut::new();
        answer.encode(&mut bytes);
        assert_eq!(bytes, from_hex(hex), "{answer:?}");
        assert_eq!(Answer::decode(&bytes), Ok(answer));
    }
}

#[test]
fn long_keys_and_values_come_back_as_they_went() {
    for length in [31, 32, 255, 256, 65_535, 65_536, 1_572_864] {
        let (key, value) = (vec![0xff; length.min(65_536)], vec![0x80; length]);
        let mut bytes = BytesMut::new();
        let put = Command::Put { key: &key, value: &value };
        put.encode(&mut bytes);
        assert_eq!(Command::decode(&bytes), Ok(put));
        assert!(bytes.len() <= key.len() + value.len() + 14, "{length} bytes of value");
    }
}

#[test]
fn random_commands_come_back_as_they_went() {
    let mut numbers = Numbers(1);
    for _ in 0..2_000 {
        let (a, b, c) = (numbers.key(), numbers.key(), numbers.value());
        let command = match numbers.below(3) {
            0 => Command::Put { key: &a, value: &c },
            1 => Command::Delete { ranges: [KeyRange::prefix(&a)].into_iter().collect() },
            _ => Command::Delete {
                ranges: [half_open(&a, &b), all_of(&c), KeyRange::single(&b)].into_iter().collect(),
            },
        };
        let mut bytes = BytesMut::new();
        command.encode(&mut bytes);
        assert_eq!(Command::decode(&bytes).unwrap(), command);
    }
}

#[test]
fn keys_and_values_stay_where_they_are() {
    let bytes = from_hex(golden_commands()[0].1);
    let Ok(Command::Put { key, value }) = Command::decode(&bytes) else { panic!("a put") };
    assert!(bytes.as_ptr_range().contains(&key.as_ptr()));
    assert!(bytes.as_ptr_range().contains(&value.as_ptr()));
}

#[test]
fn every_cut_is_seen_and_every_byte_more() {
    for bytes in golden_bytes() {
        for end in 0..bytes.len() {
            assert!(Command::decode(&bytes[..end]).is_err(), "{bytes:02x?} to {end}");
            assert!(Query::decode(&bytes[..end]).is_err(), "{bytes:02x?} to {end}");
            assert!(Answer::decode(&bytes[..end]).is_err(), "{bytes:02x?} to {end}");
        }
    }
    for (_, hex) in golden_commands() {
        let bytes = from_hex(hex);
        for end in 0..bytes.len() {
            assert_eq!(Command::decode(&bytes[..end]), Err(DecodeError::Cut), "{hex} to {end}");
        }
        for byte in 0..=u8::MAX {
            let longer = [bytes.as_slice(), &[byte]].concat();
            assert_eq!(Command::decode(&longer), Err(DecodeError::Trailing), "{hex} {byte:02x}");
        }
    }
}

#[test]
fn no_flipped_byte_does_harm() {
    for bytes in golden_bytes() {
        for at in 0..bytes.len() {
            for mask in 1..=u8::MAX {
                let mut flipped = bytes.clone();
                flipped[at] ^= mask;
                // Many of these are well-formed messages of other content.
                let _ = Command::decode(&flipped);
                let _ = Query::decode(&flipped);
                let _ = Answer::decode(&flipped);
            }
        }
    }
}

#[test]
fn claims_of_great_length_reserve_nothing() {
    for hex in ["81 a164 91 ddffffffff", "81 a170 92 c6ffffffff", "dfffffffff"] {
        assert!(Command::decode(&from_hex(hex)).is_err(), "{hex}");
    }
}

#[test]
fn text_is_taken_for_bytes_and_arrays_of_numbers_are_not() {
    let text = from_hex("81 a170 92 a16b a176");
    assert_eq!(Command::decode(&text), Ok(Command::Put { key: b"k", value: b"v" }));
    for hex in ["81 a170 92 916b c40176", "81 a178 90", "81 a170 91 c4016b", "c0", "a170"] {
        let error = Command::decode(&from_hex(hex)).unwrap_err();
        assert!(matches!(error, DecodeError::Shape(_)), "{hex}: {error}");
    }
}

/// A transaction whose branch is a transaction whose branch is ..., so deep.
fn nested_hex(depth: usize) -> Vec<u8> {
    let mut bytes = from_hex("81 a174 92 a175");
    for _ in 1..depth {
        bytes.extend(from_hex("93 90 91 81 a174"));
    }
    bytes.extend(from_hex("93 90 90 90"));
    for _ in 1..depth {
        bytes.extend(from_hex("90"));
    }
    bytes
}

#[test]
fn a_message_that_is_nested_too_deep_is_refused_before_the_stack_is() {
    assert_eq!(nested_hex(1), from_hex("81 a174 92 a175 93 90 90 90"));
    for depth in [1, 2, TRANSACTION_NESTING_MAX, TRANSACTION_NESTING_MAX + 1] {
        assert!(Command::decode(&nested_hex(depth)).is_ok(), "{depth}");
    }
    for depth in [100, 1_000, 100_000] {
        // As little stack as a thread may have that serves connections.
        let decode = move || Command::decode(&nested_hex(depth)).unwrap_err();
        let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn(decode);
        assert_eq!(thread.unwrap().join().unwrap(), DecodeError::Deep, "{depth}");
    }
    // Also where no transaction is meant, and in answers.
    for bytes in [vec![0x91; 100_000], vec![0x81; 100_000]] {
        assert!(Command::decode(&bytes).is_err());
        assert!(Query::decode(&bytes).is_err());
    }
    let answer = from_hex("81 a174 93 c3 02 91").repeat(100_000);
    assert_eq!(Answer::decode(&answer), Err(DecodeError::Deep));
}
