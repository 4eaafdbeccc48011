// Lists every mutant of the TypeScript decoder, one JSON object a line:
//   node mutants.mjs FILE…        (below src)
// A mutant changes one operator, comparison, number, condition or sign; what only words a message or
// names a place does not change what a decoder does, and is left out.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../implementations/typescript");
const ts = createRequire(join(root, "package.json"))("typescript");
const K = ts.SyntaxKind;

const operators = new Map([
  [K.LessThanToken, ["<=", ">="]],
  [K.LessThanEqualsToken, ["<", ">"]],
  [K.GreaterThanToken, [">=", "<="]],
  [K.GreaterThanEqualsToken, [">", "<"]],
  [K.EqualsEqualsEqualsToken, ["!=="]],
  [K.ExclamationEqualsEqualsToken, ["==="]],
  [K.PlusToken, ["-"]],
  [K.MinusToken, ["+"]],
  [K.AsteriskToken, ["+"]],
  [K.SlashToken, ["*"]],
  [K.PercentToken, ["+"]],
  [K.AmpersandToken, ["|"]],
  [K.BarToken, ["&"]],
  [K.CaretToken, ["|"]],
  [K.LessThanLessThanToken, [">>"]],
  [K.GreaterThanGreaterThanToken, ["<<"]],
  [K.GreaterThanGreaterThanGreaterThanToken, [">>"]],
  [K.AmpersandAmpersandToken, ["||"]],
  [K.BarBarToken, ["&&"]],
  [K.PlusEqualsToken, ["-="]],
  [K.MinusEqualsToken, ["+="]],
]);
const talk = new Set(["refuse", "wrong", "malformed", "bad", "damaged", "harmless", "at", "inFile", "value", "surplus"]);

/** Whether a node only says something: arguments of a refusal, texts of an error, types. */
function says(node) {
  for (let at = node; at.parent; at = at.parent) {
    if (ts.isTypeNode(at) || ts.isImportDeclaration(at) || ts.isTemplateExpression(at)) return true;
    const parent = at.parent;
    if (ts.isCallExpression(parent) && parent.arguments.includes(at) && talk.has(parent.expression.getText())) return true;
    if (ts.isNewExpression(parent) && parent.arguments?.includes(at) && /Error$|Refusal|Unsupported|NotCompact/.test(parent.expression.getText())) return true;
  }
  return false;
}

function functionOf(node) {
  for (let at = node; at; at = at.parent) {
    const named = (ts.isFunctionDeclaration(at) || ts.isMethodDeclaration(at)) && at.name;
    if (named) return at.name.getText();
    if (ts.isConstructorDeclaration(at)) return "constructor";
  }
  return "";
}

for (const file of process.argv.slice(2)) {
  const text = readFileSync(join(root, "src", file), "utf8");
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true);
  const counts = new Map();
  const emit = (node, start, end, replacement, kind) => {
    const before = text.slice(start, end);
    const scope = functionOf(node) || "(top)";
    const base = `${file}:${scope}:${kind} ${before.slice(0, 24)} -> ${replacement.slice(0, 24)}`;
    const n = (counts.get(base) ?? 0) + 1;
    counts.set(base, n);
    const line = source.getLineAndCharacterOfPosition(start).line + 1;
    process.stdout.write(`${JSON.stringify({ name: `${base} #${n}`, file, line, start, end, replacement })}\n`);
  };
  const visit = (node) => {
    if (!says(node)) {
      if (ts.isBinaryExpression(node)) {
        const token = node.operatorToken;
        const textual = [node.left, node.right].some((side) => ts.isStringLiteral(side) || ts.isTemplateExpression(side));
        if (!(textual && token.kind === K.PlusToken)) {
          for (const other of operators.get(token.kind) ?? []) emit(node, token.getStart(), token.end, other, "operator");
        }
      } else if (ts.isNumericLiteral(node)) {
        const value = Number(node.text);
        if (value <= 0xffffffff) emit(node, node.getStart(), node.end, String(value + 1), "number");
        if (value > 0) emit(node, node.getStart(), node.end, String(value - 1), "number");
      } else if (ts.isBigIntLiteral(node)) {
        emit(node, node.getStart(), node.end, `(${node.text} + 1n)`, "number");
      } else if (ts.isPrefixUnaryExpression(node) && node.operator === K.ExclamationToken) {
        emit(node, node.getStart(), node.end, `(${node.operand.getText()})`, "not");
      } else if (ts.isPrefixUnaryExpression(node) && node.operator === K.MinusToken) {
        emit(node, node.getStart(), node.end, `(${node.operand.getText()})`, "sign");
      } else if (ts.isIfStatement(node)) {
        emit(node, node.expression.getStart(), node.expression.end, "false", "condition");
      } else if (ts.isConditionalExpression(node)) {
        emit(node, node.condition.getStart(), node.condition.end, "true", "condition");
        emit(node, node.condition.getStart(), node.condition.end, "false", "condition");
      } else if (node.kind === K.TrueKeyword || node.kind === K.FalseKeyword) {
        emit(node, node.getStart(), node.end, node.kind === K.TrueKeyword ? "false" : "true", "truth");
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
}
