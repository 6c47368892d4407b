// Holds resources of the Prometheus operator against its schemas: a JSON array on stdin, a list of problems on stdout.
import { text } from 'node:stream/consumers';
import * as kinds from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';

const problems = [];
for (const one of JSON.parse(await text(process.stdin))) {
  const Kind = kinds[one.kind];
  if (!Kind || one.apiVersion !== Kind.apiVersion) {
    problems.push(`${one.kind}: ${one.apiVersion} is not known`);
    continue;
  }
  try {
    new Kind(one).validate();
  } catch (error) {
    problems.push(`${one.kind} ${one.metadata.name}: ${error.message}`);
  }
}
console.log(JSON.stringify(problems));
