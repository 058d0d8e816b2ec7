// Saving: nothing counts as saved before the store has answered.
import { RETRY_PAUSES, newSaveId, pause } from "./elements.js";

// Sends changes one after the other, each until it is answered: a change whose answer got lost is
// sent again with the same save_id, which the store saves once.
export function saver(request, page, { onsaved, onrefused, onlost }) {
  const jobs = [];
  let running = null;

  async function send(job) {
    for (let attempt = 0; ; attempt += 1) {
      page.setStatus("saving", "Saving…");
      let answer = null;
      try {
        answer = await request(job.method, job.path, { ...job.body, expected: job.expected() });
      } catch { /* no answer: tried again below */ }
      if (answer && answer.status < 500) return answer;
      page.setStatus("failed", "Not saved – trying again. Keep this page open.");
      if (attempt === 0) page.announce("Not saved. Trying again.");
      await pause(RETRY_PAUSES[Math.min(attempt, RETRY_PAUSES.length - 1)]);
    }
  }

  async function run() {
    while (jobs.length) {
      const job = jobs[0];
      const answer = await send(job);
      jobs.shift();
      if (answer.status === 200) {
        onsaved(answer.content, jobs.length === 0);
      } else if (answer.status !== 422) {
        for (const dropped of jobs.splice(0)) dropped.resolve({ status: 0, content: {} });
        await onlost(answer);
      } else if (!jobs.length) {
        onrefused();
      }
      job.resolve(answer);
    }
    running = null;
  }

  return {
    pending: () => jobs.length > 0,
    add(method, path, body, expected) {
      return new Promise((resolve) => {
        jobs.push({ method, path, body: { ...body, save_id: newSaveId() }, expected, resolve });
        running ??= run();
      });
    },
    async settle() { while (running) await running; },
  };
}
