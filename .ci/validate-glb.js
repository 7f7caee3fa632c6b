// Validates GLB files; anything above a hint is a failure.
const fs = require('fs');
const { validateBytes } = require('gltf-validator');

(async () => {
  for (const path of process.argv.slice(2)) {
    const { issues, info } = await validateBytes(new Uint8Array(fs.readFileSync(path)));
    console.log(`${path}: ${issues.numErrors} errors, ${issues.numWarnings} warnings, ${issues.numInfos} infos, ` +
      `${info ? info.totalTriangleCount : 'no'} triangles`);
    if (issues.numErrors + issues.numWarnings > 0 || !info || !info.totalTriangleCount) {
      console.log(JSON.stringify(issues.messages.slice(0, 5), null, 1));
      process.exitCode = 1;
    }
  }
})();
