// A rule for `deno lint`: no name hides one of an outer scope.
const SCOPES = new Set([
  "Program", "BlockStatement", "FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression",
  "ForStatement", "ForInStatement", "ForOfStatement", "CatchClause", "SwitchStatement",
]);

// The identifiers that a pattern binds.
function bound(pattern) {
  switch (pattern?.type) {
    case "Identifier": return [pattern];
    case "ObjectPattern": return pattern.properties.flatMap((one) => bound(one.value ?? one.argument));
    case "ArrayPattern": return pattern.elements.flatMap(bound);
    case "AssignmentPattern": return bound(pattern.left);
    case "RestElement": return bound(pattern.argument);
    default: return [];
  }
}

function scopeAbove(node) {
  let scope = node.parent;
  while (scope && !SCOPES.has(scope.type)) scope = scope.parent;
  return scope;
}

const keyOf = (scope, name) => `${scope.type} ${scope.range} ${name}`;

function create(context) {
  const names = [];
  const add = (pattern, scope) => names.push(...bound(pattern).map((node) => ({ node, scope })));
  const addFunction = (node) => node.params.forEach((one) => add(one, node));
  const addNamed = (node) => add(node.id, scopeAbove(node));
  return {
    VariableDeclarator: addNamed,
    ClassDeclaration: addNamed,
    FunctionDeclaration(node) { addNamed(node); addFunction(node); },
    FunctionExpression: addFunction,
    ArrowFunctionExpression: addFunction,
    CatchClause: (node) => add(node.param, node),
    "ImportSpecifier, ImportDefaultSpecifier, ImportNamespaceSpecifier": (node) => add(node.local, scopeAbove(node)),
    "Program:exit"() {
      const known = new Set(names.map(({ node, scope }) => keyOf(scope, node.name)));
      for (const { node, scope } of names) {
        let outer = scopeAbove(scope);
        while (outer && !known.has(keyOf(outer, node.name))) outer = scopeAbove(outer);
        if (outer) context.report({ node, message: `${node.name} hides a name of an outer scope` });
      }
    },
  };
}

export default { name: "darkroom", rules: { "no-shadow": { create } } };
