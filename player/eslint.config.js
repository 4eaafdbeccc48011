// What the compiler does not see, in the player and in the decoder that it plays with: promises that nobody waits for,
// switches that forget a case, comparisons that convert, and types that are none.
import tseslint from "typescript-eslint";

const decoder = "conformance/implementations/typescript";

export default tseslint.config({
  files: ["player/src/**/*.ts", "player/test/**/*.ts", `${decoder}/src/**/*.ts`, `${decoder}/test/**/*.ts`],
  plugins: { "@typescript-eslint": tseslint.plugin },
  languageOptions: {
    parser: tseslint.parser,
    parserOptions: { project: ["player/tsconfig.json", "player/tsconfig.test.json", `${decoder}/tsconfig.json`] },
  },
  linterOptions: { reportUnusedDisableDirectives: "error" },
  rules: {
    "@typescript-eslint/await-thenable": "error",
    "@typescript-eslint/no-explicit-any": "error",
    "@typescript-eslint/no-floating-promises": ["error", { ignoreVoid: true, allowForKnownSafeCalls: [{ from: "package", name: "test", package: "node:test" }] }],
    "@typescript-eslint/no-misused-promises": "error",
    "@typescript-eslint/no-unsafe-argument": "error",
    "@typescript-eslint/no-unsafe-assignment": "error",
    "@typescript-eslint/no-unsafe-call": "error",
    "@typescript-eslint/no-unsafe-member-access": "error",
    "@typescript-eslint/no-unsafe-return": "error",
    "@typescript-eslint/only-throw-error": "error",
    "@typescript-eslint/prefer-promise-reject-errors": "error",
    "@typescript-eslint/restrict-plus-operands": "error",
    "@typescript-eslint/return-await": "error",
    "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    "array-callback-return": "error",
    eqeqeq: "error",
    "no-constant-condition": ["error", { checkLoops: false }],
    "no-fallthrough": "error",
    "no-self-compare": "error",
    "no-unreachable-loop": "error",
    "no-useless-assignment": "error",
    "no-var": "error",
    "prefer-const": "error",
  },
});
