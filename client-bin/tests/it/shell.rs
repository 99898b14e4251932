//! `kvctl shell` on a pipe.

use crate::fake::{Act, World, dead_address};
use crate::kvctl::kvctl_with;

#[test]
fn lines_are_carried_out_in_one_session() {
    let world = World::default();
    let node = world.node(1, &[]);
    let input = b"put a '1 2'\n\nSET b 2\nGeT a\nget b -w json\nDEL a b\nexit\nput c 3\n";
    let (code, output, errors) = kvctl_with(&["shell", "--endpoints", &node], input);
    let json = "{\"kvs\":[{\"key\":\"b\",\"value\":\"2\",\"create_revision\":3,\
                \"mod_revision\":3,\"version\":1}],\"count\":1,\"revision\":3}\n";
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(output, format!("OK\nOK\n1 2\n{json}2\n"));
    let serials: Vec<_> =
        world.writes().iter().map(|s| (s.session.client.random, s.session.serial)).collect();
    assert_eq!(serials, [(1, 1), (1, 2), (1, 3)]);
    assert_eq!((world.connections(), world.value("c")), (1, None));
}

#[test]
fn a_line_that_fails_is_named_and_the_rest_is_carried_out() {
    let world = World::default();
    let node = world.node(1, &[Act::LoseAnswer]);
    let input = b"put a 1\nput 'b\nfly\nput c -\nget a\nhelp\n";
    let (code, output, errors) = kvctl_with(&["shell", "--endpoints", &node], input);
    assert_eq!(code, 1);
    assert!(output.starts_with("OK\n1\n") && output.contains("Usage:"), "{output}");
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines[0], "kvctl: line 2: a quote is not closed");
    assert!(lines[1].starts_with("kvctl: line 3: "), "{errors}");
    assert_eq!(lines[2], "kvctl: line 4: the shell's input is commands; use @FILE for a value");
    assert_eq!((lines.len(), world.revision()), (3, 1));

    let (code, output, _) = kvctl_with(&["shell", "--endpoints", &node], b"get x\nget a\n");
    assert_eq!((code, output.as_str()), (1, "null\n1\n"));
}

#[test]
fn a_shell_needs_a_node() {
    let dead = dead_address();
    let (code, _, errors) = kvctl_with(&["shell", "--endpoints", &dead], b"get a\n");
    assert_eq!(code, 3, "{errors}");
}

#[test]
fn lines_under_a_client_id_can_be_given_again() {
    let world = World::default();
    let (one, two) = (world.node(1, &[]), world.node(2, &[]));
    let lines =
        b"put a 1\nget a --prefix\nput a 2\ndel a\nput b 3 --request-id 1-00000000000000fe:9\n";
    let shell = |at: &str| {
        let words = ["shell", "--client-id", "1-00000000000000ff", "--endpoints", at, "-w", "json"];
        kvctl_with(&words, lines)
    };
    let (code, output, errors) = shell(&one);
    assert_eq!((code, errors.as_str()), (0, ""));
    let names = |from: usize| -> Vec<(u64, u64)> {
        let writes = world.writes();
        let names = writes[from..].iter().map(|s| (s.session.client.random, s.session.serial));
        names.collect()
    };
    assert_eq!(names(0), [(255, 1), (255, 2), (255, 3), (254, 9)]);
    let revision = world.revision();
    let again = shell(&two);
    assert_eq!(names(4), names(0)[..4]);
    assert_eq!(world.revision(), revision, "nothing is done twice");
    let written = |output: &str| -> Vec<String> {
        output.lines().filter(|line| !line.contains("kvs")).map(str::to_owned).collect()
    };
    assert_eq!((written(&again.1), again.0), (written(&output), 0));
}

#[test]
fn lines_under_a_number_can_be_given_again() {
    let world = World::default();
    let (one, two) = (world.node(1, &[]), world.node(2, &[]));
    let shell = |at: &str, lines| {
        kvctl_with(&["shell", "--client-id", "7", "--endpoints", at, "-w", "json"], lines)
    };
    let lines = b"get a --prefix\nput a 1\nput a 2\n";
    let (code, output, errors) = shell(&one, lines);
    assert_eq!((code, errors.as_str()), (0, ""));
    let revision = world.revision();
    let again = shell(&two, b"put a 1\nput a 2\n");
    assert_eq!(world.revision(), revision, "nothing is done twice");
    assert_eq!(output.lines().skip(1).collect::<Vec<_>>(), again.1.lines().collect::<Vec<_>>());
    shell(&two, b"put a 1\nput a 2\nput a 3\n");
    assert_eq!(world.revision(), revision + 1, "the third is new");
}
