// Runs one simulation in a thread of its own: in jest's contexts every use of a global costs so much that the same
// simulation takes twenty times as long.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type SimulationOptions, type SimulationResult, simulate } from '../../simulation/simulation.ts';

if (!isMainThread && parentPort !== null) parentPort.postMessage(simulate(workerData));

/** As `simulate`. */
export function simulateInThread(options: SimulationOptions): Promise<SimulationResult> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: options });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the thread ended with ${code}`)));
  });
}
