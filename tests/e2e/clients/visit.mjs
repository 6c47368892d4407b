// A patient's visit through fhir-kit-client: what each step gave, as one JSON object on one line.
//
//     node visit.mjs BASE < visit.json
//
// BASE is the FHIR base URL. visit.json: {patient, ecg, transaction}, three resources; the ECG has no subject yet.
import { text } from 'node:stream/consumers';
import { Client } from 'fhir-kit-client';

const client = new Client({ baseUrl: process.argv[2] });
const { patient, ecg, transaction } = JSON.parse(await text(process.stdin));
const header = (resource, name) => Client.httpFor(resource).response.headers.get(name);
const [{ system, value }] = patient.identifier;
const identifier = `${system}|${value}`;

// What the server said to a request that it refused.
async function refusal(request) {
  try {
    await request;
  } catch ({ response }) {
    return { status: response.status, outcome: response.data };
  }
  return null;
}

async function create() {
  const options = { headers: { 'If-None-Exist': `identifier=${identifier}` } };
  const first = await client.create({ resourceType: 'Patient', body: patient, options });
  const again = await client.create({ resourceType: 'Patient', body: patient, options });
  return { first: first.id, again: again.id, etag: header(first, 'etag'), location: header(first, 'location') };
}

async function analyse(subject) {
  const body = { ...ecg, subject: { reference: subject } };
  const made = await client.create({ resourceType: 'Observation', body });
  const link = header(made, 'link').match(/^<(.+)>; rel="related"$/)[1];
  const report = await client.resolve({ reference: link });
  return { ecg: made.id, report };
}

async function search(subject) {
  const searchParams = { subject, _count: 3 };
  const whole = await client.search({ resourceType: 'Observation', searchParams: { subject } });
  const sizes = [];
  const ids = [];
  let page = await client.search({ resourceType: 'Observation', searchParams, options: { postSearch: true } });
  while (page) {
    sizes.push(page.entry.length);
    ids.push(...page.entry.map((entry) => entry.resource.id));
    page = await client.nextPage({ bundle: page });
  }
  return { sizes, ids, whole: whole.entry.map((entry) => entry.resource.id) };
}

async function overread({ id }) {
  const jsonPatch = [
    { op: 'replace', path: '/status', value: 'final' },
    { op: 'add', path: '/resultsInterpreter', value: [{ reference: 'Practitioner/7' }] },
  ];
  const patch = { resourceType: 'DiagnosticReport', id, jsonPatch };
  const blind = await refusal(client.patch(patch));
  const read = await client.patch({ ...patch, options: { headers: { 'If-Match': 'W/"1"' } } });
  const first = await client.vread({ resourceType: 'DiagnosticReport', id, version: 1 });
  const history = await client.request(`DiagnosticReport/${id}/_history`);
  const proposals = await client.search({
    resourceType: 'ServiceRequest',
    searchParams: { reason: `DiagnosticReport/${id}` },
  });
  return {
    blind,
    statuses: [first.status, read.status],
    versions: history.entry.map((entry) => entry.response.etag),
    proposals: proposals.entry.map((entry) => entry.resource.status),
  };
}

async function change(id) {
  const body = { ...patient, gender: 'female' };
  const updated = await client.update({ resourceType: 'Patient', searchParams: { identifier }, body });
  const other = await refusal(client.update({ resourceType: 'Patient', id: 'other', body: { ...body, id } }));
  const invalid = await refusal(client.create({ resourceType: 'Patient', body: { ...body, gender: 'nobody' } }));
  const removed = await client.delete({ resourceType: 'Patient', id });
  const gone = await refusal(client.read({ resourceType: 'Patient', id }));
  return {
    updated: { id: updated.id, etag: header(updated, 'etag') },
    removed: Client.httpFor(removed).response.status,
    refused: { other, invalid, gone },
  };
}

async function bundles() {
  const stored = await client.transaction({ body: transaction });
  const entry = stored.entry.map(({ response }) => ({
    request: { method: 'GET', url: new URL(response.location).pathname.replace(/^.*?\/fhir\//, '') },
  }));
  entry.push({ request: { method: 'GET', url: 'Patient/none' } });
  const read = await client.batch({ body: { resourceType: 'Bundle', type: 'batch', entry } });
  return { stored, read };
}

const statement = await client.capabilityStatement();
const created = await create();
const subject = `Patient/${created.first}`;
const { ecg: made, report } = await analyse(subject);
const results = {
  fhirVersion: statement.fhirVersion,
  created,
  made,
  report,
  found: await search(subject),
  overread: await overread(report),
  bundles: await bundles(),
  changed: await change(created.first),
};
process.stdout.write(`${JSON.stringify(results)}\n`);
