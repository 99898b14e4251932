// The five events that everybody is shown first. Each step does something to the real cluster
// (`act`), says what is seen (`text`), and waits until it is (`until`, called `what`).

const leads = (stage) => stage.leader !== null;

/** So much slower that eyes can follow elections. */
const SLOW = 5;

/** Whether every node that answers has applied what any of them has committed. */
function isLevel(stage) {
  const commits = stage.up.map((node) => node.values?.['raft/commit'] ?? 0);
  return stage.up.every((node) => (node.values?.['raft/applied'] ?? 0) >= Math.max(...commits));
}

const firstElection = {
  name: 'first-election',
  title: 'The first election',
  about: 'Nobody leads. One timer runs out first, and a majority of votes makes a leader.',
  end: 'An election needs no plan and no boss: timers of different lengths, one vote for each '
    + 'node and term, and a majority. Two majorities always share a node, so a term never has '
    + 'two leaders.',
  steps: [
    {
      title: 'Take the cluster apart',
      text: 'Your cluster elected long ago. To see it again, every link is cut: no node hears of '
        + 'another, and the leader, which no longer hears from a majority, gives up by itself.',
      act: async (stage) => {
        stage.kept.term = stage.term;
        await stage.slowDown(SLOW);
        const ids = stage.model.nodes().map((node) => node.id);
        for (const [place, id] of ids.entries()) {
          for (const other of ids.slice(place + 1)) await stage.cut(id, other);
        }
      },
      what: 'a cluster without a leader',
      until: (stage) => stage.up.every((node) => node.role !== 'leader'),
      within_ms: 30_000,
    },
    {
      title: 'Timers run out',
      text: 'Each node has drawn a time at random: the arc around it. Where it runs out, the node '
        + 'asks whether it would be elected (a pre-vote). Behind cut links nobody answers, so no '
        + 'term is used up by asking.',
      what: 'a node that asks for votes',
      until: (stage) => stage.happened((event) => event.event === 'vote_asked')
        || stage.up.some((node) => /candidate/.test(node.role)),
      within_ms: 20_000,
    },
    {
      title: 'The links come back',
      text: (stage) => `Now the first node that asks can be answered. It enters a new term, votes `
        + `for itself, and needs one more vote than half. ${stage.leader
          ? `Node ${stage.leader} has it: it leads in term ${stage.term}.` : ''}`,
      act: (stage) => stage.do('heal', {}, true),
      what: (stage) => (leads(stage) ? `node ${stage.leader} leads` : 'a leader'),
      until: (stage) => leads(stage) && stage.term > stage.kept.term,
      within_ms: 30_000,
    },
    {
      title: 'The leader makes itself known',
      text: (stage) => `Node ${stage.leader} writes an empty entry of its term (∅ below) and `
        + 'sends it to all. When a majority has it on disk it is committed, and with it '
        + 'everything before it.',
      what: 'every node at the same commit',
      until: isLevel,
      within_ms: 20_000,
    },
  ],
};

const heartbeats = {
  name: 'heartbeats',
  title: 'Heartbeats',
  about: 'The leader is heard regularly, so nobody stands for election. One who hears nothing '
    + 'does.',
  end: 'Heartbeats keep elections away. Because a node first asks whether it could win, one that '
    + 'is merely cut off cannot disturb a leader whom the others hear.',
  steps: [
    {
      title: 'Winding up the timers',
      text: (stage) => `Time runs ${SLOW} times slower. Small dots leave node ${stage.leader}, the `
        + 'leader, for every other node: heartbeats. Watch the arcs: each heartbeat winds a timer '
        + 'up again, long before it runs out.',
      act: (stage) => stage.slowDown(SLOW),
      what: 'heartbeats on their way',
      until: (stage) => stage.happened((event) => event.event === 'message' && event.is_heartbeat),
    },
    {
      title: 'One node hears nothing',
      text: (stage) => `The link from the leader to node ${stage.kept.deaf} is cut, in that `
        + 'direction only. Its arc shrinks to nothing, and it asks the others for votes.',
      act: async (stage) => {
        stage.kept.term = stage.term;
        stage.kept.deaf = stage.others[0]
          ?? stage.up.map((node) => node.id).find((id) => id !== stage.leader);
        await stage.cut(stage.leader, stage.kept.deaf, true);
      },
      what: (stage) => `node ${stage.kept.deaf} asks`,
      until: (stage) => /candidate/.test(stage.node(stage.kept.deaf)?.role ?? '')
        || stage.happened((event) => (
          event.event === 'vote_asked' && event.node === stage.kept.deaf)),
      within_ms: 20_000,
    },
    {
      title: 'And is refused',
      text: (stage) => 'The others hear their leader and say no. The question was a pre-vote, so '
        + `the term is still ${stage.term}: nobody was disturbed.`,
      what: 'a refusal',
      until: (stage) => stage.happened((event) => event.event === 'vote_refused'
        || (event.event === 'vote_counted' && event.granted === false)),
    },
    {
      title: 'Healed',
      text: 'The link is mended, the next heartbeat arrives, and the node follows again.',
      act: (stage) => stage.do('heal', {}, true),
      what: (stage) => `node ${stage.kept.deaf} follows`,
      until: (stage) => stage.node(stage.kept.deaf)?.role === 'follower'
        && stage.node(stage.kept.deaf)?.leader === stage.leader,
    },
  ],
};

const replication = {
  name: 'replication',
  title: 'Replication',
  about: 'A write becomes an entry, goes to all, and counts once a majority has it on disk.',
  end: 'Written, copied, committed, applied, answered, in that order. What was answered is on the '
    + 'disks of a majority, so no single loss can take it back.',
  steps: [
    {
      title: 'Slow links',
      text: (stage) => 'What the leader sends arrives a little later now, so that each step can be '
        + `seen. Node ${stage.leader} leads.`,
      act: async (stage) => {
        await stage.slowDown(SLOW);
        const ms = Math.round(stage.timeout_ms * 0.6);
        for (const { id } of stage.model.nodes()) {
          if (id !== stage.leader) {
            await stage.do('delay', { node: stage.leader, other: id, ms, one_way: true }, true);
          }
        }
      },
      what: 'slow links',
      until: (stage) => (stage.model.state.links ?? []).some((link) => link.delay_ms > 0),
    },
    {
      title: 'A write',
      text: 'The page puts a key. The leader appends it to its log, where it is outlined: not '
        + 'committed. It goes to every follower at once.',
      act: (stage) => {
        stage.kept.last = stage.value(stage.leader, 'raft/last') ?? 0;
        stage.write('hello', 'world');
      },
      what: 'a new entry in the log of the leader',
      until: (stage) => (stage.value(stage.leader, 'raft/last') ?? 0) > stage.kept.last,
    },
    {
      title: 'A majority has it',
      text: (stage) => 'Followers write the entry to disk and say so. With the leader a majority '
        + 'has it: the entry is committed, is filled, is applied, and the page is answered'
        + `${stage.kept.hello?.state === 'done' ? ` (${stage.kept.hello.text})` : ''}.`,
      what: 'the answer to the write',
      until: (stage) => stage.kept.hello?.state === 'done',
    },
    {
      title: 'Followers commit',
      text: 'With the next message followers learn how far the log is committed, and apply it too.',
      act: (stage) => stage.do('heal', {}, true),
      what: 'the entry applied on every node',
      until: (stage) => isLevel(stage)
        && stage.up.every((node) => (node.values?.['raft/commit'] ?? 0) > stage.kept.last),
    },
  ],
};

const catchUp = {
  name: 'catch-up',
  title: 'A lost follower catches up',
  about: 'A node dies. The others go on. When it is back the leader sends what it missed.',
  end: 'A minority that is away costs nothing but safety margin. Coming back needs no operator: '
    + 'the leader finds where the logs agree and sends the rest.',
  steps: [
    {
      title: 'A node dies',
      text: (stage) => `Node ${stage.kept.lost} is killed as kill -9 does. The leader still `
        + 'reaches a majority.',
      act: async (stage) => {
        [stage.kept.lost] = stage.others;
        if (!stage.kept.lost) await stage.lead(stage.own);
        stage.kept.lost ??= stage.up.map((node) => node.id).find((id) => id !== stage.own);
        await stage.do('kill', { node: stage.kept.lost });
      },
      what: 'a dead node',
      until: (stage) => stage.node(stage.kept.lost)?.state === 'dead',
    },
    {
      title: 'Life goes on',
      text: (stage) => `Six keys are written. The logs of the living grow, that of node `
        + `${stage.kept.lost} does not.`,
      act: (stage) => {
        for (const place of [1, 2, 3, 4, 5, 6]) stage.write(`while-away-${place}`, String(place));
      },
      what: 'six answers',
      until: (stage) => [1, 2, 3, 4, 5, 6]
        .every((place) => stage.kept[`while-away-${place}`]?.state === 'done'),
    },
    {
      title: 'It comes back',
      text: (stage) => `Node ${stage.kept.lost} starts again with what is on its disk. The leader `
        + 'goes back to the last entry on which both agree, and sends everything behind it.',
      act: (stage) => stage.do('revive', { node: stage.kept.lost }),
      what: (stage) => `node ${stage.kept.lost} level with the leader`,
      until: (stage) => stage.node(stage.kept.lost)?.state === 'up' && isLevel(stage),
      within_ms: 20_000,
    },
  ],
};

const lostLeader = {
  name: 'lost-leader',
  title: 'A lost leader is replaced',
  about: 'The leader dies. Another takes over in a new term, and the old one returns as a '
    + 'follower.',
  end: 'Nothing that was acknowledged is lost: only a node whose log is at least as new as those '
    + 'of a majority can win, so the new leader has every committed entry.',
  steps: [
    {
      title: 'A leader elsewhere',
      text: (stage) => `This page comes from node ${stage.own}. If that led, it would go with it, `
        + `so leadership is handed to another node: node ${stage.kept.old ?? stage.leader}.`,
      act: async (stage) => {
        if (stage.leader === stage.own) await stage.lead(stage.others[0]);
        await stage.slowDown(SLOW);
      },
      what: 'a leader that is not this node',
      until: (stage) => {
        stage.kept.old = stage.leader;
        stage.kept.term = stage.term;
        return stage.leader && stage.leader !== stage.own;
      },
    },
    {
      title: 'The leader dies',
      text: (stage) => `Node ${stage.kept.old} is killed. Heartbeats end, and the arcs of the `
        + 'others shrink. (A connection that breaks is noticed at once, and shortens the wait.)',
      act: (stage) => stage.do('kill', { node: stage.kept.old }),
      what: 'a dead leader',
      until: (stage) => stage.node(stage.kept.old)?.state === 'dead',
    },
    {
      title: 'Another is elected',
      text: (stage) => (stage.leader && stage.term > stage.kept.term
        ? `Node ${stage.leader} has a majority of votes and leads in term ${stage.term}.`
        : 'Who is first asks the others for their vote in a new term.'),
      what: 'a leader in a later term',
      until: (stage) => stage.leader && stage.leader !== stage.kept.old
        && stage.term > stage.kept.term,
      within_ms: 25_000,
    },
    {
      title: 'Writes go on',
      text: 'The page writes a key; the new leader and one follower are a majority.',
      act: (stage) => stage.write('after', 'the old leader died'),
      what: 'the answer to the write',
      until: (stage) => stage.kept.after?.state === 'done',
    },
    {
      title: 'The old leader returns',
      text: (stage) => `Node ${stage.kept.old} hears of a later term, follows, and is sent what it `
        + 'missed.',
      act: (stage) => stage.do('revive', { node: stage.kept.old }),
      what: (stage) => `node ${stage.kept.old} follows and is level`,
      until: (stage) => stage.node(stage.kept.old)?.role === 'follower' && isLevel(stage),
      within_ms: 20_000,
    },
  ],
};

export const CLASSICS = [firstElection, heartbeats, replication, catchUp, lostLeader];
