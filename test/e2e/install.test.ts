// Uninstalling leaves nothing but what the chart's notes say. It runs last: nothing works after it.
import { afterAll, expect, test } from '@jest/globals';
import { RELEASE, SYSTEM_NAMESPACE } from './harness/chart.ts';
import { disconnect, helm, kubectl, ownCluster } from './harness/environment.ts';
import { nodeNames } from './harness/nodes.ts';
import { until } from './harness/until.ts';

const HELD_DELETION = `jsonpath={.items[*].status.conditions[?(@.type=='DeletionHeld')].status}`;

afterAll(disconnect);

const own = ownCluster === undefined ? test.skip : test;

own(
  'an uninstall leaves what the notes say, and what they say removes the rest',
  async () => {
    await kubectl(['delete', 'contentdistributions', '--all', '--all-namespaces', '--timeout=120s']);
    // So much at once looks like an accident: the agents wait for a person, and say so.
    await until(
      'every agent waits for a person',
      () => kubectl(['get', 'nodecontents', '-o', HELD_DELETION]),
      (text) => text.split(' ').filter((status) => status === 'True').length === 3,
    );
    const confirmation = `enxame.dev/confirm-deletion=${new Date().toISOString().replaceAll(':', '')}`;
    await kubectl(['annotate', 'nodecontents', '--all', confirmation]);
    await until(
      'no node holds anything',
      () => kubectl(['get', 'nodecontents', '-o', 'jsonpath={.items[*].status.revisions}']),
      (text) => text.replaceAll(/[[\] ]/g, '') === '',
    );
    await helm(['uninstall', RELEASE, '--namespace', SYSTEM_NAMESPACE, '--wait', '--timeout', '120s']);
    const kinds = [
      'pods,deployments,daemonsets,services,serviceaccounts,roles,rolebindings,configmaps,secrets',
      'poddisruptionbudgets,leases',
    ].join(',');
    const left = async () => {
      const text = await kubectl(['-n', SYSTEM_NAMESPACE, 'get', kinds, '-o', 'name']);
      return text
        .split('\n')
        .filter((name) => name !== '')
        .sort();
    };
    // Two of these are every namespace's own; the Lease is in the notes.
    const expected = [
      'configmap/kube-root-ca.crt',
      'lease.coordination.k8s.io/enxame-operator',
      'serviceaccount/default',
    ];
    await until('the trackers are gone too', left, (names) => names.length <= expected.length, 90);
    expect(await left()).toEqual(expected);
    const clusterKinds = [
      'clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings',
      'flowschemas,prioritylevelconfigurations,persistentvolumes',
    ].join(',');
    const text = await kubectl(['get', clusterKinds, '-o', 'name']);
    expect(text.split('\n').filter((name) => name.includes('enxame'))).toEqual([]);

    const definitions = ['contentdistributions', 'contentrevisions', 'nodecontents'].map(
      (kind) => `${kind}.enxame.dev`,
    );
    await kubectl(['delete', 'customresourcedefinitions', ...definitions, '--timeout=60s']);
    for (const node of await nodeNames()) {
      const { stdout } = await ownCluster!.nodeExec(node, [
        'find',
        '/var/lib/enxame/content',
        '-mindepth',
        '1',
      ]);
      expect(stdout).toBe('');
    }
  },
  400_000,
);
